//! The epochs of groups, and the groups that the source does not know.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::cache::policy::ABSENT;

/// The maximum number of groups remembered.
const MAX_GROUPS: usize = 10_000;

/// Invalidating a group moves it to a new epoch; a look-up in progress belongs to the old one and is discarded.
#[derive(Default)]
pub struct Groups(Mutex<GroupsState>);

#[derive(Default)]
struct GroupsState {
    /// The newest epoch of any group.
    newest: u64,
    /// The epoch of groups without an entry.
    floor: u64,
    epochs: HashMap<String, u64>,
    absent: HashMap<String, Instant>,
}

impl Groups {
    pub fn epoch(&self, group: &str) -> u64 {
        self.state().epoch(group)
    }

    /// Moves a group to a new epoch and returns it.
    pub fn invalidate(&self, group: &str) -> u64 {
        self.state().invalidate(group)
    }

    /// Moves a group to a new epoch. Returns it if the epoch before was this one. Both happen at once: between a look and
    /// the move, another instance's invalidation would go unnoticed.
    pub fn invalidate_since(&self, group: &str, before: u64) -> Option<u64> {
        let mut state = self.state();
        let is_unchanged = state.epoch(group) == before;
        let epoch = state.invalidate(group);
        is_unchanged.then_some(epoch)
    }

    pub fn invalidate_all(&self) {
        self.state().invalidate_all();
    }

    /// Marks a group as unknown to the source.
    pub fn mark_absent(&self, group: &str) {
        let mut state = self.state();
        if state.absent.len() >= MAX_GROUPS {
            state.absent.retain(|_, since| since.elapsed() < ABSENT);
        }
        if state.absent.len() >= MAX_GROUPS {
            state.absent.clear();
        }
        state.absent.insert(group.to_owned(), Instant::now());
    }

    /// Whether the group was recently unknown to the source.
    pub fn is_absent(&self, group: &str) -> bool {
        self.state().absent.get(group).is_some_and(|since| since.elapsed() < ABSENT)
    }

    /// Invalidates a group that was marked as unknown.
    pub fn invalidate_absent(&self, group: &str) {
        if self.state().absent.contains_key(group) {
            self.invalidate(group);
        }
    }

    fn state(&self) -> MutexGuard<'_, GroupsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GroupsState {
    fn epoch(&self, group: &str) -> u64 {
        self.epochs.get(group).copied().unwrap_or(self.floor)
    }

    fn invalidate(&mut self, group: &str) -> u64 {
        self.absent.remove(group);
        if self.epochs.len() >= MAX_GROUPS {
            // An epoch must never return to an older value: if there are too many groups, all are invalidated.
            self.invalidate_all();
        }
        self.newest += 1;
        self.epochs.insert(group.to_owned(), self.newest);
        self.newest
    }

    fn invalidate_all(&mut self) {
        self.newest += 1;
        self.floor = self.newest;
        self.epochs.clear();
        self.absent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_only_increase() {
        let groups = Groups::default();
        let before = groups.epoch("a");
        let invalidated = groups.invalidate("a");
        assert!(invalidated > before && groups.epoch("a") == invalidated && groups.epoch("b") == before);
        groups.invalidate_all();
        assert!(groups.epoch("a") > invalidated && groups.epoch("a") == groups.epoch("b"));
        let last = groups.invalidate("a");
        for number in 0..=MAX_GROUPS {
            groups.invalidate(&number.to_string());
        }
        assert!(groups.epoch("a") > last);
    }

    #[test]
    fn of_two_writers_with_one_epoch_only_the_first_keeps_its_value() {
        let groups = Groups::default();
        let before = groups.epoch("a");
        let first = groups.invalidate_since("a", before);
        assert_eq!(first, Some(groups.epoch("a")));
        assert_eq!(groups.invalidate_since("a", before), None);
        assert!(Some(groups.epoch("a")) > first, "the first value is invalid too");
    }

    /// Each writer but the first must notice one before it, however the threads take turns.
    #[test]
    fn a_concurrent_invalidation_never_goes_unnoticed() {
        let groups = Groups::default();
        for _ in 0..2_000 {
            let before = groups.epoch("a");
            let kept: Vec<u64> = std::thread::scope(|scope| {
                let write = || groups.invalidate_since("a", before);
                let writers = [scope.spawn(write), scope.spawn(write)];
                writers.into_iter().filter_map(|writer| writer.join().unwrap()).collect()
            });
            assert!(kept.len() == 1 && groups.epoch("a") > kept[0], "{kept:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn absent_groups_are_looked_up_again_after_a_delay_or_when_they_appear() {
        let groups = Groups::default();
        groups.mark_absent("a");
        assert!(groups.is_absent("a"));
        tokio::time::advance(ABSENT).await;
        assert!(!groups.is_absent("a"));
        groups.mark_absent("a");
        let before = (groups.epoch("a"), groups.epoch("b"));
        groups.invalidate_absent("a");
        groups.invalidate_absent("b");
        assert!(!groups.is_absent("a") && groups.epoch("a") > before.0);
        assert_eq!(groups.epoch("b"), before.1, "a present group keeps its values");
    }
}
