//! Every `unsafe` and raw system call, a file per facility. Knows neither spec nor plan.

pub mod beneath;
pub mod caps;
pub mod copy;
