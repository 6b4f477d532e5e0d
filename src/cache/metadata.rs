//! What is known of an object beyond its listing, valid as long as a listing shows the same object.

use crate::base::metrics::HitRate;
use crate::base::metrics::Hits;
use crate::store::ETag;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

/// What a listing must still show for an entry to hold. A change of metadata alone keeps the tag of an object of one part
/// but not its time, so both count.
#[derive(Clone, Debug)]
pub struct Validator {
    /// Tag.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// Seconds count; listings and heads differ in their fractions.
    pub last_modified: SystemTime,
}

/// A bounded memory of values by key.
pub struct MetadataCache<V> {
    hits: HitRate,
    entries: Mutex<LruCache<String, (Validator, V)>>,
}

impl<V: Clone> MetadataCache<V> {
    /// Remembers up to `entries_max` objects.
    #[must_use]
    pub fn new(entries_max: NonZeroUsize) -> Self {
        Self { hits: HitRate::default(), entries: Mutex::new(LruCache::new(entries_max)) }
    }

    /// How often what was asked for was known.
    #[must_use]
    pub fn hits(&self) -> Hits {
        self.hits.read()
    }

    /// What is known of `key`, if the object is still the one that it was learnt from.
    #[must_use]
    pub fn get(&self, key: &str, shown: &Validator) -> Option<V> {
        let known = self.lock().get(key).filter(|(validator, _)| validator == shown).map(|(_, value)| value.clone());
        if known.is_some() {
            self.hits.hit();
        } else {
            self.hits.miss();
        }
        known
    }

    /// Remembers what was learnt of `key`.
    pub fn put(&self, key: String, validator: Validator, value: V) {
        self.lock().put(key, (validator, value));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<String, (Validator, V)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Validator {
    fn eq(&self, other: &Self) -> bool {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs()).ok();
        self.etag == other.etag
            && self.size == other.size
            && seconds(self.last_modified) == seconds(other.last_modified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_the_same_object_is_known() {
        let cache = MetadataCache::new(NonZeroUsize::MIN);
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let seen = Validator { etag: ETag::new("e"), size: 3, last_modified: at(5_000) };
        cache.put("k".into(), seen.clone(), 7);
        assert_eq!(cache.get("k", &Validator { last_modified: at(5_900), ..seen.clone() }), Some(7));
        assert_eq!(cache.get("k", &Validator { last_modified: at(6_000), ..seen.clone() }), None, "written again");
        assert_eq!(cache.get("k", &Validator { size: 4, ..seen.clone() }), None);
        assert_eq!(cache.get("k", &Validator { etag: ETag::new("f"), ..seen.clone() }), None);
        cache.put("other".into(), seen.clone(), 8);
        assert_eq!(cache.get("k", &seen), None, "the bound holds");
        assert_eq!(cache.hits(), Hits { hits: 1, misses: 4 });
    }
}
