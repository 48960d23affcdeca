//! The tries of one request that led to another one: no error hides what happened in them.

use std::fmt;

/// Why a request is worth another try.
#[derive(Debug)]
pub struct Fault {
    /// Follows the address, as in `answered 503 Service Unavailable`.
    pub what: String,
    /// The server's own words, or what to check.
    pub why: String,
}

/// Tries in their order; equal ones in a row stand once, with their number.
#[derive(Debug, Default)]
pub struct Tries {
    faults: Vec<(Fault, u32)>,
}

impl Tries {
    pub fn push(&mut self, fault: Fault) {
        match self.faults.last_mut() {
            Some((last, times)) if last.what == fault.what => {
                *times += 1;
                last.why = fault.why;
            }
            _ => self.faults.push((fault, 1)),
        }
    }

    pub fn count(&self) -> u32 {
        self.faults.iter().map(|(_, times)| times).sum()
    }

    /// What happened before a last try that ended as `what`; `None` if nothing else did.
    pub fn before(&self, what: &str) -> Option<String> {
        let is_news = self.faults.iter().any(|(fault, _)| fault.what != what);
        is_news.then(|| format!("before that, it {self}"))
    }
}

impl fmt::Display for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (Fault { what, why }, times)) in self.faults.iter().enumerate() {
            let then = if at > 0 { ", then " } else { "" };
            let times = if *times > 1 { format!(" {times} times") } else { String::new() };
            write!(f, "{then}{what}{times} ({why})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_try_is_told_and_equal_ones_are_counted() {
        let mut tries = Tries::default();
        let fault = |what: &str, why: &str| Fault { what: what.to_owned(), why: why.to_owned() };
        assert_eq!(tries.before("refused the connection"), None);
        for _ in 0..3 {
            tries.push(fault("answered 504 Gateway Timeout", "empty response"));
        }
        assert_eq!(tries.before("answered 504 Gateway Timeout"), None);
        tries.push(fault("refused the connection", "check the port"));
        let text =
            "answered 504 Gateway Timeout 3 times (empty response), then refused the connection (check the port)";
        assert_eq!((tries.to_string().as_str(), tries.count()), (text, 4));
        assert_eq!(tries.before("answered 504 Gateway Timeout"), Some(format!("before that, it {text}")));
    }
}
