#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| covered::coverage::merge::fuzzing::check(bytes));
