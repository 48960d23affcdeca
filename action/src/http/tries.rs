//! The failed attempts of one request, so that the last error does not hide earlier ones.

use std::fmt;

/// A failure that is worth a retry.
#[derive(Debug)]
pub struct Fault {
    /// Follows the address, as in `answered 503 Service Unavailable`.
    pub what: String,
    /// The server's message, or what to check.
    pub why: String,
}

/// Failed attempts in order; equal consecutive ones are counted.
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

    /// Describes the attempts before a last one with the result `what`; `None` if all were the same.
    pub fn describe_unless_all(&self, what: &str) -> Option<String> {
        let differs = self.faults.iter().any(|(fault, _)| fault.what != what);
        differs.then(|| format!("before that, it {self}"))
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
    fn every_attempt_is_described_and_equal_ones_are_counted() {
        let mut tries = Tries::default();
        let fault = |what: &str, why: &str| Fault { what: what.to_owned(), why: why.to_owned() };
        assert_eq!(tries.describe_unless_all("refused the connection"), None);
        for _ in 0..3 {
            tries.push(fault("answered 504 Gateway Timeout", "empty response"));
        }
        assert_eq!(tries.describe_unless_all("answered 504 Gateway Timeout"), None);
        tries.push(fault("refused the connection", "check the port"));
        let text =
            "answered 504 Gateway Timeout 3 times (empty response), then refused the connection (check the port)";
        assert_eq!((tries.to_string().as_str(), tries.count()), (text, 4));
        assert_eq!(tries.describe_unless_all("answered 504 Gateway Timeout"), Some(format!("before that, it {text}")));
    }
}
