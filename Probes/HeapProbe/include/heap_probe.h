/* Nothing here is called by name: the probe is preloaded. */
#ifndef HEAP_PROBE_H
#define HEAP_PROBE_H
#endif
