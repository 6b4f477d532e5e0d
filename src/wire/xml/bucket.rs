//! Documents about buckets.

use crate::wire::date;
use crate::wire::xml::Document;
use crate::wire::xml::Error;
use crate::wire::xml::Owner;
use crate::wire::xml::Result;
use crate::wire::xml::Style;
use crate::wire::xml::out::Out;
use crate::wire::xml::tree::Element;
use std::time::SystemTime;

/// `ListAllMyBucketsResult`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListBuckets {
    /// Whose they are.
    pub owner: Owner,
    /// The buckets, by name.
    pub buckets: Vec<Bucket>,
}

/// One bucket of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: SystemTime,
}

impl Document for ListBuckets {
    const ROOT: &'static str = "ListAllMyBucketsResult";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        let owner = root.child("Owner").map(Owner::read).unwrap_or_default();
        let all = root.child("Buckets").map(|list| list.children.as_slice()).unwrap_or_default();
        let bucket = |element: &Element<'_>| {
            let created = date::parse(element.required("CreationDate")?).ok_or(Error::Invalid("CreationDate"))?;
            Ok(Bucket { name: element.required("Name")?.to_owned(), created })
        };
        let buckets = all.iter().filter(|element| element.name == "Bucket").map(bucket).collect::<Result<_>>()?;
        Ok(Self { owner, buckets })
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::new(style, Self::ROOT);
        self.owner.write("Owner", &mut out);
        out.open("Buckets");
        for bucket in &self.buckets {
            out.open("Bucket");
            out.leaf("Name", &bucket.name);
            out.leaf("CreationDate", &date::iso8601(bucket.created));
            out.close("Bucket");
        }
        out.close("Buckets");
        out.finish()
    }
}

/// `LocationConstraint`: where a bucket is. `None` is `us-east-1`, which the document leaves empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocationConstraint {
    /// The region.
    pub region: Option<String>,
}

impl Document for LocationConstraint {
    const ROOT: &'static str = "LocationConstraint";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        // Some stores nest the element in one of the same name.
        let text = root.text(Self::ROOT).unwrap_or(&root.text).trim();
        Ok(Self { region: (!text.is_empty()).then(|| text.to_owned()) })
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::new(style, Self::ROOT);
        out.text(self.region.as_deref().unwrap_or_default());
        out.finish()
    }
}

/// `CreateBucketConfiguration`: where a new bucket shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateBucketConfiguration {
    /// The region; the endpoint's own when `None`.
    pub region: Option<String>,
}

impl Document for CreateBucketConfiguration {
    const ROOT: &'static str = "CreateBucketConfiguration";

    fn parse(document: &[u8]) -> Result<Self> {
        Ok(Self { region: Element::parse(document, Self::ROOT)?.filled("LocationConstraint") })
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::new(style, Self::ROOT);
        out.leaf_if("LocationConstraint", self.region.as_deref());
        out.finish()
    }
}
