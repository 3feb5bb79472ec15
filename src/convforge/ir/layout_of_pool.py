"""Where the fields of the thread pool lie, in bytes: read by emitted code and by the Python that owns it."""

# Each group lies on cache lines of its own: what workers watch, what they count, what they draw from.
JOB, ACTIVE, NEXT = 0, 128, 256
TASK, CALL, TOTAL, SCRATCH, SCRATCH_BYTES = 384, 392, 400, 408, 416
BUSY, STOP, SPIN, LIMIT, YIELD = 512, 640, 648, 656, 664
# Addresses of the system's calls that tell a thread's core, and read and set the cores that it may use: 0
# where there are none. Threads up to SPREAD have a core each.
CORE_OF, GET_CORES, SET_CORES, SPREAD = 672, 680, 688, 696
# One int64 for each worker: 1 from the moment that it leaves the machine code to sleep.
ASLEEP, MOST_WORKERS = 768, 1024
# One int64 for each core: who took it last, and for which job. Bytes of a set of cores: a bit each.
TAKEN, MOST_CORES = ASLEEP + 8 * MOST_WORKERS, 1024
CORE_SET_BYTES = MOST_CORES // 8
POOL_BYTES = TAKEN + 8 * MOST_CORES
# Pointers that every kernel gets: parameters, x, weights, bias, y.
CALL_POINTERS = 5
