//! See `gaoler_fuzz::parsers::log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gaoler_fuzz::parsers::log(data));
