#pragma once

// Gives memory that was freed back to the system, where the C library can.
void kernels_give_memory_back(void);
