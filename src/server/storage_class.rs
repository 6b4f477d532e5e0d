//! Storage classes: which words are legal where, and what an answer says. All classes are stored in the same way here.
//!
//! A class is kept as the word that was given; the standard one, which each dialect spells in its own way, as none.

use crate::server::dialect::Dialect;
use crate::server::dialect::Site;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::fields::Fields;
use crate::wire::error_code::ErrorCode;

const STANDARD: &str = "STANDARD";
const WOS_STANDARD: &str = "Standard";
const REDUCED: &str = "REDUCED_REDUNDANCY";
/// Where JSS has its reduced class: "only in North China" (page "InitiateMultipartUpload").
const REDUCED_REGION: &str = "cn-north-1";

/// Amazon's.
const S3: [&str; 12] = [
    STANDARD,
    REDUCED,
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "GLACIER_IR",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "SNOW",
    "EXPRESS_ONEZONE",
    "FSX_OPENZFS",
];
/// JD Cloud's at `jdcloud-oss.com`.
const JD_NEW: [&str; 4] = [STANDARD, "GLACIER", REDUCED, "STANDARD_IA"];
/// JD Cloud's at `jcloudcs.com`, and JSS's.
const JD_OLD: [&str; 2] = [STANDARD, REDUCED];
const WOS: [&str; 3] = [WOS_STANDARD, "IA", "Archive"];

/// Where a class is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Whose host was asked.
    pub site: Site,
    /// In which region.
    pub region: &'a str,
    /// Whether the rules of single hosts and regions hold.
    pub strict: bool,
}

/// The class that a request asks for, if it asks for one; the inner `None` is the standard one.
pub fn asked(fields: &Fields, rules: &Rules<'_>) -> Result<Option<Option<String>>> {
    let Some(text) = fields.text("x-amz-storage-class")? else { return Ok(None) };
    let dialect = fields.dialect();
    let refused = || Fault::from(ErrorCode::InvalidStorageClass).with("StorageClassRequested", text);
    let class = legal(dialect, rules).iter().find(|class| match dialect {
        Dialect::S3 | Dialect::Jss => **class == text,
        // The vendor's own SDK writes them in lower case.
        Dialect::Wos => class.eq_ignore_ascii_case(text),
    });
    let class = *class.ok_or_else(refused)?;
    if dialect == Dialect::Jss && class == REDUCED && rules.strict && rules.region != REDUCED_REGION {
        return Err(refused());
    }
    Ok(Some(Some(class.to_owned()).filter(|_| class != standard(dialect))))
}

fn legal(dialect: Dialect, rules: &Rules<'_>) -> &'static [&'static str] {
    match (dialect, rules.site) {
        (Dialect::Wos, _) => &WOS,
        (Dialect::Jss, _) => &JD_OLD,
        (Dialect::S3, Site::JdOld) if rules.strict => &JD_OLD,
        (Dialect::S3, Site::JdNew | Site::JdOld) => &JD_NEW,
        (Dialect::S3, Site::Jss | Site::Wangsu | Site::Other) => &S3,
    }
}

fn standard(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::S3 | Dialect::Jss => STANDARD,
        Dialect::Wos => WOS_STANDARD,
    }
}

/// A class as documents name it.
#[must_use]
pub fn name(class: Option<&str>, dialect: Dialect) -> &str {
    class.unwrap_or(standard(dialect))
}

/// A class as headers name it: S3 names the standard one by its absence, the others always tell.
#[must_use]
pub fn header(class: Option<&str>, dialect: Dialect) -> Option<&str> {
    match dialect {
        Dialect::S3 => class,
        Dialect::Jss | Dialect::Wos => Some(name(class, dialect)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderMap;
    use crate::http::HeaderValue;
    use crate::server::fields::Hoisting;

    fn class(dialect: Dialect, site: Site, region: &str, strict: bool, text: &str) -> std::result::Result<String, u16> {
        let mut headers = HeaderMap::new();
        let name = match dialect {
            Dialect::S3 => "x-amz-storage-class",
            Dialect::Jss => "x-jss-storage-class",
            Dialect::Wos => "x-wos-storage-class",
        };
        headers.insert(name, HeaderValue::from_str(text).unwrap());
        let fields = Fields::new(&headers, &[], dialect, Hoisting::None).unwrap();
        let asked =
            asked(&fields, &Rules { site, region, strict }).map_err(|fault| fault.code.in_dialect(dialect).1)?;
        Ok(asked.unwrap().unwrap_or_default())
    }

    #[test]
    fn each_dialect_and_host_has_its_own_classes() {
        let (s3, jss, wos) = (Dialect::S3, Dialect::Jss, Dialect::Wos);
        type Row<'a> = (Dialect, Site, &'a str, bool, &'a str, Option<&'a str>);
        let rows: &[Row<'_>] = &[
            (s3, Site::Other, "r", false, "STANDARD", Some("")),
            (s3, Site::Other, "r", true, "DEEP_ARCHIVE", Some("DEEP_ARCHIVE")),
            (s3, Site::Other, "r", false, "standard", None),
            (s3, Site::Other, "r", false, "IA", None),
            (s3, Site::JdNew, "r", true, "GLACIER", Some("GLACIER")),
            (s3, Site::JdNew, "r", false, "STANDARD_IA", Some("STANDARD_IA")),
            (s3, Site::JdNew, "r", false, "STANDARD-IA", None),
            (s3, Site::JdNew, "r", false, "ONEZONE_IA", None),
            (s3, Site::JdOld, "r", false, "GLACIER", Some("GLACIER")),
            (s3, Site::JdOld, "r", true, "GLACIER", None),
            (s3, Site::JdOld, "r", true, "STANDARD_IA", None),
            (s3, Site::JdOld, "r", true, "REDUCED_REDUNDANCY", Some("REDUCED_REDUNDANCY")),
            (jss, Site::Jss, "r", false, "STANDARD", Some("")),
            (jss, Site::Jss, "r", false, "REDUCED_REDUNDANCY", Some("REDUCED_REDUNDANCY")),
            (jss, Site::Jss, "r", true, "REDUCED_REDUNDANCY", None),
            (jss, Site::Jss, "cn-north-1", true, "REDUCED_REDUNDANCY", Some("REDUCED_REDUNDANCY")),
            (jss, Site::Jss, "r", false, "GLACIER", None),
            (wos, Site::Wangsu, "r", false, "Standard", Some("")),
            (wos, Site::Wangsu, "r", false, "IA", Some("IA")),
            (wos, Site::Wangsu, "r", false, "archive", Some("Archive")),
            (wos, Site::Wangsu, "r", false, "STANDARD_IA", None),
            (wos, Site::Other, "r", false, "", None),
        ];
        for (dialect, site, region, strict, text, want) in rows {
            let want = want.map(str::to_owned).ok_or(400);
            assert_eq!(class(*dialect, *site, region, *strict, text), want, "{dialect} {site:?} {strict} {text}");
        }
    }

    #[test]
    fn the_standard_class_is_told_as_each_dialect_tells_it() {
        assert_eq!((name(None, Dialect::S3), header(None, Dialect::S3)), ("STANDARD", None));
        assert_eq!((name(None, Dialect::Jss), header(None, Dialect::Jss)), ("STANDARD", Some("STANDARD")));
        assert_eq!((name(None, Dialect::Wos), header(None, Dialect::Wos)), ("Standard", Some("Standard")));
        let shared = Some("STANDARD_IA");
        for dialect in Dialect::ALL {
            assert_eq!((name(shared, dialect), header(shared, dialect)), ("STANDARD_IA", shared), "as it is");
        }
    }
}
