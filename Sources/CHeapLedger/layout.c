#include "heap_ledger.h" /* compiled once so that the layout assertions run */
