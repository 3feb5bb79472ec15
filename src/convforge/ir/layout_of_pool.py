"""Where the fields of the thread pool lie, in bytes: read by emitted code and by the Python that owns it."""

# Each group lies on cache lines of its own: what workers watch, what they count, what they draw from.
JOB, ACTIVE, NEXT = 0, 128, 256
TASK, CALL, TOTAL, SCRATCH, SCRATCH_BYTES = 384, 392, 400, 408, 416
BUSY, STOP, SPIN, LIMIT, YIELD = 512, 640, 648, 656, 664
# One int64 for each worker: 1 from the moment that it leaves the machine code to sleep.
ASLEEP, MOST_WORKERS = 768, 1024
POOL_BYTES = ASLEEP + 8 * MOST_WORKERS
# Pointers that every kernel gets: parameters, x, weights, bias, y.
CALL_POINTERS = 5
