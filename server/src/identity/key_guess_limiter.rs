//! Limits wrong API keys by address.
//!
//! Delays do not stop an attacker, who opens more connections. So after too many wrong keys, all further keys of an
//! address are rejected, with exceptions that do not help an attacker. A key that is too long to be guessed is
//! accepted. A key that was valid from this address before is accepted, for others who share the address. A repeated
//! wrong key, such as from a workflow with an old key, is not counted again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;

use crate::error::Error;
use crate::network::client::rate_limit_key;

/// The number of wrong keys before the limit applies.
const MAX_GUESSES: u32 = 10;
/// The time after which one more wrong key is allowed.
const ALLOWANCE_INTERVAL: Duration = Duration::from_secs(10);
/// A key of this length cannot be guessed: 32 hexadecimal digits are 128 bits.
const MIN_UNGUESSABLE_LENGTH: usize = 32;
/// The number of wrong keys remembered.
const MAX_WRONG_KEYS: usize = 4;
/// The maximum number of addresses. Beyond that, those without recent wrong keys are forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// The state of all addresses.
#[derive(Default)]
pub struct KeyGuessLimiter {
    seed: RandomState,
    addresses: Mutex<HashMap<IpAddr, AddressState>>,
}

/// The keys that an address sent, as keyed hashes.
struct AddressState {
    accepted: Vec<u64>,
    wrong: Vec<u64>,
    /// When the last wrong key expires.
    expires_at: Instant,
}

impl KeyGuessLimiter {
    /// Returns the result of `verdict` for a key from `client`, or 429 after too many wrong keys.
    pub fn check<T>(
        &self,
        client: IpAddr,
        key: &[u8],
        now: Instant,
        verdict: impl Fn() -> Result<T, Error>,
    ) -> Result<T, Error> {
        if key.len() >= MIN_UNGUESSABLE_LENGTH
            && let Ok(right) = verdict()
        {
            return Ok(right);
        }
        let key = self.seed.hash_one(key);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= MAX_ADDRESSES {
            addresses.retain(|_, address| address.expires_at > now);
            if addresses.len() >= MAX_ADDRESSES {
                addresses.clear();
            }
        }
        let fresh = || AddressState { accepted: Vec::new(), wrong: Vec::new(), expires_at: now };
        let address = addresses.entry(rate_limit_key(client)).or_insert_with(fresh);
        if address.accepted.contains(&key) || address.wrong.contains(&key) {
            return verdict();
        }
        let next = (address.expires_at + ALLOWANCE_INTERVAL)
            .saturating_duration_since(now)
            .saturating_sub(ALLOWANCE_INTERVAL * MAX_GUESSES);
        if !next.is_zero() {
            return Err(Error::too_many_guesses(next.as_secs() + 1));
        }
        let verdict = verdict();
        match &verdict {
            Ok(_) => address.accepted.push(key),
            Err(error) if error.status == StatusCode::FORBIDDEN => {
                address.expires_at = address.expires_at.max(now) + ALLOWANCE_INTERVAL;
                address.wrong.insert(0, key);
                address.wrong.truncate(MAX_WRONG_KEYS);
            }
            Err(_) => {}
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdef0123456789abcdef";

    struct Guesser {
        guesses: KeyGuessLimiter,
        now: Instant,
    }

    impl Guesser {
        fn new() -> Self {
            Self { guesses: KeyGuessLimiter::default(), now: Instant::now() }
        }

        fn send(&self, client: &str, key: &str) -> u16 {
            let verdict = || if ["right", LONG].contains(&key) { Ok(()) } else { Err(Error::forbidden("wrong")) };
            let checked = self.guesses.check(client.parse().unwrap(), key.as_bytes(), self.now, verdict);
            checked.map_or_else(|error| error.status.as_u16(), |()| 200)
        }

        fn use_up_guesses(&self, client: &str) {
            for guess in 0..MAX_GUESSES {
                assert_eq!(self.send(client, &format!("guess-{guess}")), 403);
            }
        }
    }

    #[test]
    fn guessing_keys_is_rate_limited_per_address() {
        let mut guesser = Guesser::new();
        guesser.use_up_guesses("192.0.2.1");
        assert_eq!(guesser.send("192.0.2.1", "one more"), 429);
        assert_eq!(guesser.send("192.0.2.1", "right"), 429, "otherwise the response would confirm the key");
        assert_eq!(guesser.send("192.0.2.2", "right"), 200, "from another address");
        guesser.now += ALLOWANCE_INTERVAL - Duration::from_millis(1);
        assert_eq!(guesser.send("192.0.2.1", "right"), 429);
        guesser.now += Duration::from_millis(1);
        assert_eq!(guesser.send("192.0.2.1", "one more"), 403);
        assert_eq!(guesser.send("192.0.2.1", "yet another"), 429);
        guesser.now += ALLOWANCE_INTERVAL * MAX_GUESSES;
        guesser.use_up_guesses("192.0.2.1");
    }

    #[test]
    fn a_key_accepted_from_an_address_before_still_works_there() {
        let guesser = Guesser::new();
        assert_eq!(guesser.send("2001:db8::1", "right"), 200);
        guesser.use_up_guesses("2001:db8::2");
        assert_eq!(guesser.send("2001:db8::3", "another"), 429, "the same /64 network");
        assert_eq!(guesser.send("2001:db8::3", "right"), 200);
    }

    #[test]
    fn long_keys_are_exempt_from_the_rate_limit() {
        let guesser = Guesser::new();
        guesser.use_up_guesses("192.0.2.1");
        assert_eq!(guesser.send("192.0.2.1", LONG), 200);
        assert_eq!(guesser.send("192.0.2.1", &LONG.replace('f', "e")), 429, "a wrong key of the same length");
        assert_eq!(guesser.send("192.0.2.1", "right"), 429);
    }

    #[test]
    fn repeating_one_wrong_key_counts_as_one_guess() {
        let guesser = Guesser::new();
        for _ in 0..100 {
            assert_eq!(guesser.send("192.0.2.1", "old"), 403);
        }
        assert_eq!(guesser.send("192.0.2.1", "right"), 200);
    }

    #[test]
    fn the_number_of_tracked_addresses_is_limited() {
        let guesser = Guesser::new();
        for client in 0..MAX_ADDRESSES as u32 + 10 {
            guesser.send(&IpAddr::from(client.to_be_bytes()).to_string(), "guess");
        }
        assert!(guesser.guesses.addresses.lock().unwrap().len() <= MAX_ADDRESSES);
    }
}
