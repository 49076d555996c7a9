//! The system call filter: from a policy to classic BPF.
