//! Futures that are ready mostly.

use std::future::Future;

use futures_util::FutureExt;

/// What a look-up in memory finds. It waits for nothing, unless its cache is being tidied up: then the way of what is not
/// there, on which it is looked for again, does as well. By that no request has to make room for it.
pub fn poll_once<T>(look_up: impl Future<Output = Option<T>>) -> Option<T> {
    look_up.now_or_never().flatten()
}
