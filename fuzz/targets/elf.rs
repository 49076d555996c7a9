//! See `gaoler_fuzz::parsers::elf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gaoler_fuzz::parsers::elf(data));
