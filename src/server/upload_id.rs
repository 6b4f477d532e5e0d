//! Ids of uploads, in the shape of each dialect's examples. All begin with the time, so that they sort by age.

use crate::base::random;
use crate::server::backend::record::Millis;
use crate::wire::dialect::Dialect;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Bits of JSS's id below those of the time. Its 64 bits leave no room for chance: they count.
const SEQUENCE_BITS: u32 = 16;

/// The last id of JSS that was given out, or is in use from an earlier run.
static LAST: AtomicU64 = AtomicU64::new(0);

/// A new id. Of S3 and WOS 80 bits are random; of JSS no two are equal in one process, nor in two that know of each
/// other by [`begin_after`].
#[must_use]
pub fn next(dialect: Dialect, now: Millis) -> String {
    match dialect {
        Dialect::S3 => format!("{:012x}{}", now.0, random::hex::<10>()),
        Dialect::Wos => format!("{:012X}{}", now.0, random::hex::<10>().to_uppercase()),
        Dialect::Jss => {
            let next = |last| Some(after(last, now));
            let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).expect("there is always a next");
            format!("{:016X}", after(last, now))
        }
    }
}

/// Ids of JSS will be greater than this one: a clock that was set back must not give an id that is in use.
pub fn begin_after(newest: u64) {
    LAST.fetch_max(newest, Ordering::Relaxed);
}

/// The id after `last`: the time's first one, or the next number while the time has not gone on.
fn after(last: u64, now: Millis) -> u64 {
    (now.0 << SEQUENCE_BITS).max(last.wrapping_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_have_the_shape_of_each_dialect() {
        let now = Millis(1_704_164_645_000);
        let upper = |id: &str| id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
        let (jss, wos) = (next(Dialect::Jss, now), next(Dialect::Wos, now));
        assert!(jss.len() == 16 && upper(&jss), "{jss}");
        assert!(wos.len() == 32 && upper(&wos), "{wos}");
        assert_eq!(next(Dialect::S3, now).len(), 32);
    }

    #[test]
    fn many_ids_of_one_millisecond_differ_and_ascend() {
        let ids: Vec<String> = (0..70_000).map(|_| next(Dialect::Jss, Millis(1_704_164_645_000))).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    proptest! {
        #[test]
        fn an_id_is_greater_than_the_last_whatever_the_clock_does(
            last in 0u64..u64::MAX, now in 0u64..(1 << 48),
        ) {
            let next = after(last, Millis(now));
            prop_assert!(next > last);
            prop_assert!(next >= now << SEQUENCE_BITS);
        }
    }
}
