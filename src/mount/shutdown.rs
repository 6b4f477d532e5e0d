//! How a mount ends, decided purely: events in, at most a few actions out. `daemon.rs` performs them.
//!
//! There are three ways to an end: somebody asked for it (`brigade umount`), a signal, or the file system was
//! unmounted from outside. In each of them what was written goes to the bucket first, as far as it still can.

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGTERM, SIGINT or SIGHUP.
    Signal,
    /// `brigade umount`, on a control connection.
    Asked(Lossy),
    /// The store does not answer.
    StoreGone,
    /// It does.
    StoreAnswers,
    /// The one who asked has hung up.
    AskerGone,
    /// The drain begun last has ended; so many files could not be stored.
    Drained {
        /// How many.
        failures: usize,
    },
    /// The plain unmount asked for last has ended.
    Unmounted(Unmounted),
    /// No writer holds anything that is not in the bucket.
    Quiet,
    /// The kernel serves this mount no longer.
    SessionEnded,
}

/// Whether an unmount may lose what could not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lossy {
    /// Rather stay mounted, and wait for a store that is gone.
    No,
    /// Go anyway, and soon (`--force`).
    Yes,
}

/// What came of a plain unmount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmounted {
    /// It is gone.
    Done,
    /// Something holds it.
    Busy,
    /// Refused for another reason, for people.
    Failed(String),
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Store what is pending; answered by [`Event::Drained`].
    Drain,
    /// Store what is whole, now that nothing can be written any more; answered by [`Event::Drained`].
    Finish,
    /// Unmount, unless busy; answered by [`Event::Unmounted`].
    Unmount,
    /// Take the mount out of the tree, for those who hold it to finish.
    Detach,
    /// Tell the one who asked that it stays mounted, and why.
    Refuse(Refusal),
    /// End everything that waits for the store, and give up what is not stored.
    GiveUp,
    /// Give up the uploads under way.
    AbortWriters,
    /// End the process.
    Exit(Ending),
}

/// Why a mount stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Something could not be stored.
    NotStored,
    /// Something holds it.
    Busy,
    /// The system refused.
    Failed(String),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything that was written is in the bucket.
    Clean,
    /// Something is not.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Somebody waits for an answer.
    AskedDraining,
    AskedUnmounting,
    /// After a signal.
    LeavingDraining,
    LeavingUnmounting,
    Detached,
    /// Unmounted, but the session has not said so yet.
    Unmounted,
    /// Nothing can be written any more.
    Finishing,
    Exited,
}

/// The decisions of one mount's end.
#[derive(Debug)]
pub struct Shutdown {
    phase: Phase,
    /// What the end that is under way may cost.
    lossy: Lossy,
    /// Something could not be stored, and was given up.
    lost: bool,
    given_up: bool,
    /// Somebody forces the end, and it is not known yet whether the store answers.
    asks_store: bool,
    /// The mount is in use, which matters only if the store answers.
    busy: bool,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { phase: Phase::Serving, lossy: Lossy::No, lost: false, given_up: false, asks_store: false, busy: false }
    }
}

impl Shutdown {
    /// Whether an `umount` request is taken; another one is under way otherwise. Force takes over from one that waits.
    #[must_use]
    pub fn accepts(&self, lossy: Lossy) -> bool {
        match self.phase {
            Phase::Serving => true,
            Phase::AskedDraining | Phase::LeavingDraining => lossy == Lossy::Yes && self.lossy == Lossy::No,
            Phase::AskedUnmounting
            | Phase::LeavingUnmounting
            | Phase::Detached
            | Phase::Unmounted
            | Phase::Finishing
            | Phase::Exited => false,
        }
    }

    /// Whether the end may lose something: then it matters whether the store still answers.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.lossy == Lossy::Yes
    }

    /// Whether the mount is out of the tree and waits for [`Event::Quiet`].
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.phase == Phase::Detached
    }

    /// Takes an event and answers what to do, in order.
    #[must_use]
    pub fn on_event(&mut self, event: &Event) -> Vec<Action> {
        let (next, actions) = match event {
            Event::Signal => self.on_signal(),
            Event::Asked(lossy) => self.on_asked(*lossy),
            Event::StoreGone => {
                let is_ending = !matches!(self.phase, Phase::Serving | Phase::Exited);
                let gives_up = self.is_forced() && !self.given_up && is_ending;
                self.given_up |= gives_up;
                self.asks_store = false;
                let again = std::mem::take(&mut self.busy) && self.phase == Phase::AskedUnmounting;
                let mut actions = if gives_up { vec![Action::GiveUp] } else { vec![] };
                actions.extend(again.then_some(Action::Unmount));
                (self.phase, actions)
            }
            Event::StoreAnswers => {
                self.asks_store = false;
                let stays = std::mem::take(&mut self.busy) && self.phase == Phase::AskedUnmounting;
                if stays { (Phase::Serving, vec![Action::Refuse(Refusal::Busy)]) } else { (self.phase, vec![]) }
            }
            Event::AskerGone => match self.phase {
                // Before the unmount nothing has happened that the absent one would have to know of.
                Phase::AskedDraining if !self.given_up => {
                    self.lossy = Lossy::No;
                    (Phase::Serving, vec![])
                }
                other => (other, vec![]),
            },
            Event::Drained { failures } => self.on_drained(*failures),
            Event::Unmounted(outcome) => self.on_unmounted(outcome),
            Event::Quiet => match self.phase {
                Phase::Detached => (Phase::Finishing, vec![Action::Finish]),
                other => (other, vec![]),
            },
            Event::SessionEnded => match self.phase {
                Phase::Finishing | Phase::Exited => (self.phase, vec![]),
                Phase::Serving
                | Phase::AskedDraining
                | Phase::AskedUnmounting
                | Phase::LeavingDraining
                | Phase::LeavingUnmounting
                | Phase::Detached
                | Phase::Unmounted => (Phase::Finishing, vec![Action::Finish]),
            },
        };
        self.phase = next;
        actions
    }

    fn on_asked(&mut self, lossy: Lossy) -> (Phase, Vec<Action>) {
        if !self.accepts(lossy) {
            return (self.phase, vec![]);
        }
        self.lossy = lossy;
        self.asks_store = self.is_forced();
        // A drain that is under way goes on, whoever began it.
        let actions = if self.phase == Phase::Serving { vec![Action::Drain] } else { vec![] };
        (Phase::AskedDraining, actions)
    }

    fn on_signal(&mut self) -> (Phase, Vec<Action>) {
        match self.phase {
            Phase::Serving => (Phase::LeavingDraining, vec![Action::Drain]),
            // The asker's own drain or unmount goes on, and now ends the process either way.
            Phase::AskedDraining => (Phase::LeavingDraining, vec![]),
            Phase::AskedUnmounting if std::mem::take(&mut self.busy) => (Phase::Detached, vec![Action::Detach]),
            Phase::AskedUnmounting => (Phase::LeavingUnmounting, vec![]),
            Phase::Unmounted => (Phase::Unmounted, vec![]),
            Phase::LeavingDraining | Phase::LeavingUnmounting | Phase::Detached | Phase::Finishing => {
                (Phase::Exited, vec![Action::AbortWriters, Action::Exit(Ending::Lost)])
            }
            Phase::Exited => (Phase::Exited, vec![]),
        }
    }

    fn on_drained(&mut self, failures: usize) -> (Phase, Vec<Action>) {
        match self.phase {
            Phase::AskedDraining if failures > 0 && self.lossy == Lossy::No => {
                (Phase::Serving, vec![Action::Refuse(Refusal::NotStored)])
            }
            Phase::AskedDraining => {
                self.lost |= failures > 0;
                (Phase::AskedUnmounting, vec![Action::Unmount])
            }
            Phase::LeavingDraining => (Phase::LeavingUnmounting, vec![Action::Unmount]),
            Phase::Finishing => {
                let is_lost = self.lost || self.given_up || failures > 0;
                let ending = if is_lost { Ending::Lost } else { Ending::Clean };
                (Phase::Exited, vec![Action::Exit(ending)])
            }
            // The drain of one who has hung up.
            Phase::Serving
            | Phase::AskedUnmounting
            | Phase::LeavingUnmounting
            | Phase::Detached
            | Phase::Unmounted
            | Phase::Exited => (self.phase, vec![]),
        }
    }

    fn on_unmounted(&mut self, outcome: &Unmounted) -> (Phase, Vec<Action>) {
        match (self.phase, outcome) {
            (Phase::AskedUnmounting | Phase::LeavingUnmounting, Unmounted::Done) => (Phase::Unmounted, vec![]),
            // Nothing that is given up comes back. Who holds it gets errors once the process is gone.
            (Phase::AskedUnmounting, Unmounted::Busy | Unmounted::Failed(_)) if self.given_up => {
                (Phase::Finishing, vec![Action::Detach, Action::Finish])
            }
            (Phase::AskedUnmounting, Unmounted::Busy) if self.asks_store => {
                self.busy = true;
                (self.phase, vec![])
            }
            (Phase::AskedUnmounting, Unmounted::Busy) => (Phase::Serving, vec![Action::Refuse(Refusal::Busy)]),
            (Phase::AskedUnmounting, Unmounted::Failed(why)) => {
                (Phase::Serving, vec![Action::Refuse(Refusal::Failed(why.clone()))])
            }
            (Phase::LeavingUnmounting, Unmounted::Busy | Unmounted::Failed(_)) => {
                (Phase::Detached, vec![Action::Detach])
            }
            (
                Phase::Serving
                | Phase::AskedDraining
                | Phase::LeavingDraining
                | Phase::Detached
                | Phase::Unmounted
                | Phase::Finishing
                | Phase::Exited,
                Unmounted::Done | Unmounted::Busy | Unmounted::Failed(_),
            ) => (self.phase, vec![]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DRAINED: Event = Event::Drained { failures: 0 };
    const HALF_DRAINED: Event = Event::Drained { failures: 2 };
    const GONE: Event = Event::Unmounted(Unmounted::Done);
    const BUSY: Event = Event::Unmounted(Unmounted::Busy);
    const ASKED: Event = Event::Asked(Lossy::No);
    const FORCED: Event = Event::Asked(Lossy::Yes);

    fn run(events: &[Event]) -> Vec<Action> {
        let mut shutdown = Shutdown::default();
        events.iter().flat_map(|event| shutdown.on_event(event)).collect()
    }

    #[test]
    fn every_way_out_stores_first() {
        use Action::AbortWriters;
        use Action::Detach;
        use Action::Drain;
        use Action::Exit;
        use Action::Finish;
        use Action::Refuse;
        use Action::Unmount;
        use Event::Quiet;
        use Event::SessionEnded;
        use Event::Signal;
        let clean = Exit(Ending::Clean);
        let lost = Exit(Ending::Lost);
        let refused = |why| Refuse(why);
        let rows: &[(&[Event], &[Action], &str)] = &[
            (
                &[ASKED, DRAINED, GONE, SessionEnded, DRAINED],
                &[Drain, Unmount, Finish, clean.clone()],
                "brigade umount",
            ),
            (&[ASKED, DRAINED, SessionEnded, GONE, DRAINED], &[Drain, Unmount, Finish, clean.clone()], "either order"),
            (&[ASKED, HALF_DRAINED], &[Drain, refused(Refusal::NotStored)], "it stays, with what is not stored"),
            (&[FORCED, HALF_DRAINED], &[Drain, Unmount], "--force goes anyway"),
            (&[FORCED, DRAINED, BUSY], &[Drain, Unmount], "busy: it matters whether the store answers"),
            (
                &[FORCED, DRAINED, BUSY, Event::StoreAnswers],
                &[Drain, Unmount, refused(Refusal::Busy)],
                "which it does: it stays",
            ),
            (
                &[FORCED, DRAINED, BUSY, Event::StoreGone, BUSY],
                &[Drain, Unmount, Action::GiveUp, Unmount, Detach, Finish],
                "which it does not: it goes",
            ),
            (&[FORCED, DRAINED, BUSY, Signal], &[Drain, Unmount, Detach], "a signal does not wait for that"),
            (&[ASKED, DRAINED, BUSY], &[Drain, Unmount, refused(Refusal::Busy)], "busy: it stays"),
            (
                &[ASKED, DRAINED, BUSY, ASKED],
                &[Drain, Unmount, refused(Refusal::Busy), Drain],
                "and can be asked again",
            ),
            (&[ASKED, Event::AskerGone, DRAINED], &[Drain], "an asker who hangs up unmounts nothing"),
            (&[ASKED, Signal, DRAINED, GONE], &[Drain, Unmount], "a signal while asked uses the same drain"),
            (&[Signal, DRAINED, GONE, SessionEnded, DRAINED], &[Drain, Unmount, Finish, clean.clone()], "SIGTERM"),
            (
                &[Signal, HALF_DRAINED, GONE, SessionEnded, HALF_DRAINED],
                &[Drain, Unmount, Finish, lost.clone()],
                "failures tell",
            ),
            (
                &[Signal, DRAINED, BUSY, Quiet, DRAINED],
                &[Drain, Unmount, Detach, Finish, clean.clone()],
                "busy: detached",
            ),
            (&[Signal, Quiet, DRAINED], &[Drain, Unmount], "quiet counts only once detached"),
            (&[Signal, Signal], &[Drain, AbortWriters, lost.clone()], "a second signal gives up"),
            (
                &[Signal, DRAINED, BUSY, Signal],
                &[Drain, Unmount, Detach, AbortWriters, lost.clone()],
                "also when detached",
            ),
            (&[SessionEnded, DRAINED], &[Finish, clean], "umount or fusermount3 -u from outside"),
            (&[SessionEnded, HALF_DRAINED], &[Finish, lost], "which cannot be refused"),
        ];
        for (events, want, why) in rows {
            assert_eq!(run(events), *want, "{why}: {events:?}");
        }
    }

    #[test]
    fn force_waits_for_nobody() {
        use Action::Detach;
        use Action::Drain;
        use Action::Finish;
        use Action::GiveUp;
        use Action::Unmount;
        use Event::SessionEnded;
        use Event::Signal;
        use Event::StoreGone;
        let lost = Action::Exit(Ending::Lost);
        let rows: &[(&[Event], &[Action], &str)] = &[
            (
                &[FORCED, StoreGone, StoreGone, HALF_DRAINED, GONE, SessionEnded, DRAINED],
                &[Drain, GiveUp, Unmount, Finish, lost.clone()],
                "--force does not wait for a store that is gone",
            ),
            (&[ASKED, StoreGone], &[Drain], "without --force it is waited for"),
            (&[ASKED, FORCED, StoreGone], &[Drain, GiveUp], "force takes over from one that waits"),
            (&[Signal, FORCED, StoreGone], &[Drain, GiveUp], "also from a signal"),
            (
                &[FORCED, StoreGone, HALF_DRAINED, BUSY, DRAINED],
                &[Drain, GiveUp, Unmount, Detach, Finish, lost.clone()],
                "what was given up is taken from those who hold it",
            ),
            (
                &[FORCED, Event::StoreAnswers, DRAINED, BUSY],
                &[Drain, Unmount, Action::Refuse(Refusal::Busy)],
                "with a store that answers a busy mount stays",
            ),
            (
                &[FORCED, HALF_DRAINED, GONE, SessionEnded, DRAINED],
                &[Drain, Unmount, Finish, lost.clone()],
                "what the first drain lost stays lost",
            ),
            (&[FORCED, Event::AskerGone, StoreGone], &[Drain], "nothing is given up for one who has hung up"),
        ];
        for (events, want, why) in rows {
            assert_eq!(run(events), *want, "{why}: {events:?}");
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Signal),
            Just(ASKED),
            Just(FORCED),
            Just(Event::StoreGone),
            Just(Event::StoreAnswers),
            Just(Event::AskerGone),
            Just(DRAINED),
            Just(HALF_DRAINED),
            Just(GONE),
            Just(BUSY),
            Just(Event::Unmounted(Unmounted::Failed("no".into()))),
            Just(Event::Quiet),
            Just(Event::SessionEnded),
        ]
    }

    proptest! {
        #[test]
        fn no_order_of_events_unmounts_undrained_or_exits_twice(events in proptest::collection::vec(event(), 0..30)) {
            let actions = run(&events);
            let exits = actions.iter().filter(|a| matches!(a, Action::Exit(_))).count();
            prop_assert!(exits <= 1, "{actions:?}");
            if exits == 1 {
                prop_assert!(matches!(actions.last(), Some(Action::Exit(_))), "nothing follows an exit: {actions:?}");
            }
            if let Some(first) = actions.first() {
                prop_assert!(matches!(first, Action::Drain | Action::Finish), "{first:?}");
            }
        }

        #[test]
        fn the_end_always_comes(events in proptest::collection::vec(event(), 0..30)) {
            let mut shutdown = Shutdown::default();
            let mut ended = false;
            let rest = [Event::SessionEnded, DRAINED];
            for event in events.iter().chain(&rest) {
                ended |= shutdown.on_event(event).iter().any(|a| matches!(a, Action::Exit(_)));
            }
            prop_assert!(ended);
        }
    }
}
