#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| covered::totals::check(covered::totals::Family::Xml, bytes));
