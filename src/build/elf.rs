//! The ELF closure as ld.so computes it.
