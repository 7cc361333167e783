/*
 * USDT probes for whoever traces from outside, as OpenTelemetry's profiler does (opentelemetry-ebpf-profiler,
 * design-docs/00003-memory-profiling, "USDT contract"): otel_memory:alloc(pointer, size, weight) for a sampled
 * allocation, weight in bytes, unbiased, and otel_memory:free(pointer) when a pointer told before is freed. Each is one
 * nop in the sampled path, and a note in the file. A sample that is thinned away is told as freed, since its real free
 * will not be noticed: sums over what lives hold until a table was full for the first time (hl_header.thinnings).
 */
#ifndef HR_TAP_H
#define HR_TAP_H

#include <sys/sdt.h>

#define HR_TAP_ALLOC(block, size, weight) DTRACE_PROBE3(otel_memory, alloc, block, size, weight)
#define HR_TAP_FREE(block) DTRACE_PROBE1(otel_memory, free, block)

#endif
