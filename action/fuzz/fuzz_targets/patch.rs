#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| covered::coverage::patch::fuzzing::check(bytes));
