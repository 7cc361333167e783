/* Nothing here is called by name: the probe is preloaded, or attached. SwiftPM wants a header of each target. */
#ifndef HEAP_PROBE_H
#define HEAP_PROBE_H
#endif
