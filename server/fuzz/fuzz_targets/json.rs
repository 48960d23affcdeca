#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| covered_server::fuzz::json(bytes));
