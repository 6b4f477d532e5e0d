//! Vectors that vendors publish, and others computed by other code than this.

use super::*;
use proptest::prelude::*;

const SECRET: &str = "test-secret-key-0123456789abcdefghijklmn";
const DATE: &str = "Wed, 12 Jul 2017 07:45:27 GMT";

/// One signed request and what it must give.
struct Vector {
    id: &'static str,
    method: &'static str,
    /// Bucket and key.
    resource: (&'static str, &'static str),
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    date: &'static str,
    order: Order,
    string_to_sign: &'static str,
    signature: &'static str,
}

const PLAIN: Vector = Vector {
    id: "",
    method: "GET",
    resource: ("", ""),
    query: "",
    headers: &[],
    date: DATE,
    order: Order::Sorted,
    string_to_sign: "",
    signature: "",
};

fn check(scheme: &Scheme, secret: &str, vectors: &[Vector]) {
    for vector in vectors {
        let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let query = uri::parse_query(vector.query).unwrap();
        let request = Request {
            method: vector.method,
            bucket: some(vector.resource.0),
            key: some(vector.resource.1),
            query: &query,
            headers: vector.headers,
        };
        assert_eq!(request.string_to_sign(scheme, vector.date, vector.order), vector.string_to_sign, "{}", vector.id);
        assert_eq!(request.signature(scheme, secret, vector.date, vector.order), vector.signature, "{}", vector.id);
    }
}

#[test]
fn jss_published_requests_are_signed_as_published() {
    let header = Vector {
        id: "Signature in header",
        method: "PUT",
        resource: ("oss-test", "sign.txt"),
        headers: &[
            ("Content-MD5", "0c791a8c18017c7ad1675936d12bae5d"),
            ("Content-Type", "text/plain"),
            ("x-jss-server-side-encryption", "false"),
        ],
        date: "Thu, 13 Jul 2017 02:37:31 GMT",
        string_to_sign: "PUT\n0c791a8c18017c7ad1675936d12bae5d\ntext/plain\nThu, 13 Jul 2017 02:37:31 GMT\nx-jss-server-side-encryption:false\n/oss-test/sign.txt",
        signature: "xvj2Iv7WcSwnN26XYnTq/c2YBQs=",
        ..PLAIN
    };
    check(&JINGDONG, "1MYaiNh3NeN9SuxaqFjSrc7I49rWKkQCxpl9eLNZ", &[header]);
    let url = Vector {
        id: "Signature in URL",
        resource: ("mybucket", "index.html"),
        date: "1369191796",
        string_to_sign: "GET\n\n\n1369191796\n/mybucket/index.html",
        signature: "mBb1uuC3y2GeyeqlW5+gN/tla6s=",
        ..PLAIN
    };
    check(&JINGDONG, "41oUzT1opT69jpedWVg1vFTb31FvrewWSXnnZ7i1", &[url]);
}

const PART: (&str, &str) = ("youhe", "multipart.data");

#[test]
fn jss_vectors_j1_and_j2_the_beginning_of_an_upload() {
    let initiate = "POST\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/youhe/multipart.data?uploads";
    let j1 = |id, query| Vector {
        id,
        method: "POST",
        resource: PART,
        query,
        string_to_sign: initiate,
        signature: "on/ynlLPBSF1yw9WG9cXry9VyGA=",
        ..PLAIN
    };
    let vectors = [
        j1("J1", "uploads"),
        j1("J1 with =", "uploads="),
        Vector {
            id: "J2",
            method: "POST",
            resource: PART,
            query: "uploads",
            headers: &[
                ("X-Jss-Storage-Class", "  STANDARD "),
                ("Content-Type", "application/octet-stream"),
                ("x-JSS-server-side-encryption", " true"),
            ],
            string_to_sign: "POST\n\napplication/octet-stream\nWed, 12 Jul 2017 07:45:27 GMT\nx-jss-server-side-encryption:true\nx-jss-storage-class:STANDARD\n/youhe/multipart.data?uploads",
            signature: "9h5QozxgFIXa2bFvS+0Hk/8k5B0=",
            ..PLAIN
        },
    ];
    check(&JINGDONG, SECRET, &vectors);
}

#[test]
fn jss_vectors_j3_the_orders_and_digests_of_a_part() {
    let vectors = [
        Vector {
            id: "J3",
            method: "PUT",
            resource: PART,
            query: "uploadId=9E417328F6B89F0B&partNumber=1",
            headers: &[("Content-MD5", "5eb63bbbe01eeed093cb22bb8f5acdc3")],
            string_to_sign: "PUT\n5eb63bbbe01eeed093cb22bb8f5acdc3\n\nWed, 12 Jul 2017 07:45:27 GMT\n/youhe/multipart.data?partNumber=1&uploadId=9E417328F6B89F0B",
            signature: "UVJAGeFif9GOcpgqtVV/nanpId4=",
            ..PLAIN
        },
        Vector {
            id: "J3b",
            method: "PUT",
            resource: PART,
            query: "uploadId=9E417328F6B89F0B&partNumber=1",
            headers: &[("Content-MD5", "5eb63bbbe01eeed093cb22bb8f5acdc3")],
            order: Order::AsSent,
            string_to_sign: "PUT\n5eb63bbbe01eeed093cb22bb8f5acdc3\n\nWed, 12 Jul 2017 07:45:27 GMT\n/youhe/multipart.data?uploadId=9E417328F6B89F0B&partNumber=1",
            signature: "+7HPAXF2jqy0D9sEniGSUJjwPrY=",
            ..PLAIN
        },
        Vector {
            id: "J3c",
            method: "PUT",
            resource: PART,
            query: "partNumber=1&uploadId=9E417328F6B89F0B",
            headers: &[("Content-MD5", "XrY7u+Ae7tCTyyK7j1rNww==")],
            string_to_sign: "PUT\nXrY7u+Ae7tCTyyK7j1rNww==\n\nWed, 12 Jul 2017 07:45:27 GMT\n/youhe/multipart.data?partNumber=1&uploadId=9E417328F6B89F0B",
            signature: "nuvFPBX2oQo7ZJ4IqYfqC6FaLoA=",
            ..PLAIN
        },
    ];
    check(&JINGDONG, SECRET, &vectors);
}

#[test]
fn jss_vectors_j4_and_j5_the_end_of_an_upload() {
    let vectors = [
        Vector {
            id: "J4",
            method: "POST",
            resource: PART,
            query: "uploadId=9E417328F6B89F0B",
            headers: &[("Content-Type", "application/json")],
            string_to_sign: "POST\n\napplication/json\nWed, 12 Jul 2017 07:45:27 GMT\n/youhe/multipart.data?uploadId=9E417328F6B89F0B",
            signature: "93qrFLNUn1FIRnjoPUjYmg3vdrA=",
            ..PLAIN
        },
        Vector {
            id: "J5",
            method: "DELETE",
            resource: PART,
            query: "uploadId=9E417328F6B89F0B",
            string_to_sign: "DELETE\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/youhe/multipart.data?uploadId=9E417328F6B89F0B",
            signature: "GnDPw5GVPAr3rOmmw95/7EA8454=",
            ..PLAIN
        },
    ];
    check(&JINGDONG, SECRET, &vectors);
}

#[test]
fn jss_vectors_j6_to_j11_listings_keys_copies_urls() {
    let vectors = [
        Vector {
            id: "J6",
            resource: ("youhe", ""),
            query: "prefix=a&marker=b&delimiter=%2F&maxKeys=10",
            string_to_sign: "GET\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/youhe",
            signature: "OetI65iXK9cCk/D0kld3BXuSr+U=",
            ..PLAIN
        },
        Vector {
            id: "J7",
            string_to_sign: "GET\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/",
            signature: "ss7UoP6Aqmn2+VhCM5DoBHljUYM=",
            ..PLAIN
        },
        Vector {
            id: "J8",
            resource: ("youhe", ""),
            query: "uploads",
            string_to_sign: "GET\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/youhe?uploads",
            signature: "shyTlAlSQyB/YTvt1wh/Uwm19qo=",
            ..PLAIN
        },
        Vector {
            id: "J9",
            resource: ("youhe", "目录/文件 1.txt"),
            string_to_sign: "GET\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/youhe/目录/文件 1.txt",
            signature: "5jdO30EZYtac0aMVx7wAdgsiTrE=",
            ..PLAIN
        },
        Vector {
            id: "J10",
            method: "PUT",
            resource: ("youhe", "dst.txt"),
            headers: &[("x-jss-copy-source", "/youhe/src.txt")],
            string_to_sign: "PUT\n\n\nWed, 12 Jul 2017 07:45:27 GMT\nx-jss-copy-source:/youhe/src.txt\n/youhe/dst.txt",
            signature: "A+uAtj56rKkCQQ2KHRObd2g8Llg=",
            ..PLAIN
        },
        Vector {
            id: "J11",
            resource: ("youhe", "hello.txt"),
            query: "Expires=1893456000&AccessKey=TESTACCESSKEY0001&Signature=fiEB%2FENfEw9dRHDtRPdFlsKp%2FUg%3D",
            date: "1893456000",
            string_to_sign: "GET\n\n\n1893456000\n/youhe/hello.txt",
            signature: "fiEB/ENfEw9dRHDtRPdFlsKp/Ug=",
            ..PLAIN
        },
    ];
    check(&JINGDONG, SECRET, &vectors);
}

const MOVIE: (&str, &str) = ("wos-bucket", "movie.mp4");

#[test]
fn wos_vectors_w1_to_w4_the_upload_family() {
    let initiate = |id, query, string_to_sign, signature| Vector {
        id,
        method: "POST",
        resource: MOVIE,
        query,
        string_to_sign,
        signature,
        ..PLAIN
    };
    let vectors = [
        initiate(
            "W1",
            "uploads",
            "POST\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/wos-bucket/movie.mp4?uploads",
            "uebgLvs3C6uJ7DjdUh/MB42R/K4=",
        ),
        // What `?upload`, which is no subresource, gives as well.
        initiate(
            "W1n",
            "upload",
            "POST\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/wos-bucket/movie.mp4",
            "Sn61iZeP74VhrcsfY7rFYQr66yM=",
        ),
        Vector {
            id: "W2",
            method: "POST",
            resource: MOVIE,
            query: "uploads=",
            headers: &[
                ("x-wos-storage-class", "IA"),
                ("x-wos-meta-author", "lin"),
                ("X-Wos-Meta-A", "1"),
                ("content-type", "video/mp4"),
            ],
            string_to_sign: "POST\n\nvideo/mp4\nWed, 12 Jul 2017 07:45:27 GMT\nx-wos-meta-a:1\nx-wos-meta-author:lin\nx-wos-storage-class:IA\n/wos-bucket/movie.mp4?uploads",
            signature: "T5d4ZXCb4cMLcjH2hguNtw8WllQ=",
            ..PLAIN
        },
        Vector {
            id: "W3",
            method: "PUT",
            resource: MOVIE,
            query: "partNumber=1&uploadId=0123456789ABCDEF0123456789ABCDEF",
            headers: &[("content-md5", "XrY7u+Ae7tCTyyK7j1rNww=="), ("content-type", "application/octet-stream")],
            string_to_sign: "PUT\nXrY7u+Ae7tCTyyK7j1rNww==\napplication/octet-stream\nWed, 12 Jul 2017 07:45:27 GMT\n/wos-bucket/movie.mp4?partNumber=1&uploadId=0123456789ABCDEF0123456789ABCDEF",
            signature: "V0u4pEsg3HZHJcGU4t4dYRycsME=",
            ..PLAIN
        },
        Vector {
            id: "W4",
            method: "POST",
            resource: MOVIE,
            query: "uploadId=0123456789ABCDEF0123456789ABCDEF",
            headers: &[("content-type", "application/xml")],
            string_to_sign: "POST\n\napplication/xml\nWed, 12 Jul 2017 07:45:27 GMT\n/wos-bucket/movie.mp4?uploadId=0123456789ABCDEF0123456789ABCDEF",
            signature: "uGtqtvoPwa3QD0xw3uYXOPwoaJE=",
            ..PLAIN
        },
    ];
    check(&WOS2, SECRET, &vectors);
    // A signature over a misspelled word fits no request, since none has it among its subresources.
    assert_eq!(
        sign(SECRET, "POST\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/wos-bucket/movie.mp4?upload"),
        "pLduoJZs+2RWk69pHk3AktYyxb8=",
        "W1m"
    );
}

#[test]
fn wos_vectors_w5_to_w11_listings_dates_urls_copies() {
    let vectors = [
        Vector {
            id: "W5",
            resource: ("wos-bucket", ""),
            query: "prefix=a&max-keys=2",
            string_to_sign: "GET\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/wos-bucket/",
            signature: "G36UHsn6LVzgGwoYmHMGgIVffAI=",
            ..PLAIN
        },
        Vector {
            id: "W6",
            string_to_sign: "GET\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/",
            signature: "ss7UoP6Aqmn2+VhCM5DoBHljUYM=",
            ..PLAIN
        },
        Vector {
            id: "W7a",
            resource: MOVIE,
            headers: &[("x-wos-date", DATE)],
            date: "",
            string_to_sign: "GET\n\n\n\nx-wos-date:Wed, 12 Jul 2017 07:45:27 GMT\n/wos-bucket/movie.mp4",
            signature: "2WuERwUY3GEQZvJ/3Ru7KXHZ/N0=",
            ..PLAIN
        },
        Vector {
            id: "W7b",
            resource: MOVIE,
            headers: &[("x-wos-date", DATE)],
            string_to_sign: "GET\n\n\nWed, 12 Jul 2017 07:45:27 GMT\nx-wos-date:Wed, 12 Jul 2017 07:45:27 GMT\n/wos-bucket/movie.mp4",
            signature: "aWE0QsStW2M4EklSLebdujoqLQo=",
            ..PLAIN
        },
        Vector {
            id: "W8",
            resource: MOVIE,
            query: "WOSAccessKeyId=TESTACCESSKEY0001&Expires=1893456000&Signature=UJhwVJM2Cs305vgqweF4G%2FFVN3k%3D",
            date: "1893456000",
            string_to_sign: "GET\n\n\n1893456000\n/wos-bucket/movie.mp4",
            signature: "UJhwVJM2Cs305vgqweF4G/FVN3k=",
            ..PLAIN
        },
        Vector {
            id: "W9",
            resource: ("wos-bucket", ""),
            query: "uploads",
            string_to_sign: "GET\n\n\nWed, 12 Jul 2017 07:45:27 GMT\n/wos-bucket/?uploads",
            signature: "bpJ5JheNvtqHOaM4AjKKPMg8fH4=",
            ..PLAIN
        },
        Vector {
            id: "W10",
            method: "POST",
            resource: ("wos-bucket", ""),
            query: "delete",
            headers: &[("content-md5", "TisZEVqjLR/C4+yfsYS2BA=="), ("content-type", "application/xml")],
            string_to_sign: "POST\nTisZEVqjLR/C4+yfsYS2BA==\napplication/xml\nWed, 12 Jul 2017 07:45:27 GMT\n/wos-bucket/?delete",
            signature: "jdHUg3yFYlCk8fAu5/v0TSxc88o=",
            ..PLAIN
        },
        Vector {
            id: "W11",
            method: "PUT",
            resource: ("wos-bucket", "dst.mp4"),
            headers: &[("x-wos-copy-source", "/wos-bucket/src.mp4")],
            string_to_sign: "PUT\n\n\nWed, 12 Jul 2017 07:45:27 GMT\nx-wos-copy-source:/wos-bucket/src.mp4\n/wos-bucket/dst.mp4",
            signature: "ljHu/YYyAFt4DBw6nYNTSFuxp+U=",
            ..PLAIN
        },
    ];
    check(&WOS2, SECRET, &vectors);
}

#[test]
fn vector_a11_a_presigned_url_of_version_2() {
    let vector = Vector {
        id: "A11",
        resource: ("mybucket", "backup/big.bin"),
        query: "AWSAccessKeyId=JDC_TESTACCESSKEY01&Expires=1893456000&Signature=K9pzJUVuID9RVZ1GqzWAvEgBLW4%3D",
        date: "1893456000",
        string_to_sign: "GET\n\n\n1893456000\n/mybucket/backup/big.bin",
        signature: "K9pzJUVuID9RVZ1GqzWAvEgBLW4=",
        ..PLAIN
    };
    check(&AWS2, SECRET, &[vector]);
}

#[test]
fn headers_of_each_scheme_are_its_own() {
    type Row<'a> = (&'a Scheme, &'a str, Option<(&'a str, &'a str)>, &'a str);
    let rows: &[Row<'_>] = &[
        (&JINGDONG, "jingdong AK:c2ln", Some(("AK", "c2ln")), "as documented"),
        (&JINGDONG, " jingdong AK: c2ln ", Some(("AK", "c2ln")), "the page prints a space"),
        (&JINGDONG, "jingdong a:b:c2ln", Some(("a:b", "c2ln")), "the signature has no colon"),
        (&JINGDONG, "Jingdong AK:c2ln", None, "another case"),
        (&JINGDONG, "jingdongAK:c2ln", None, "no space"),
        (&JINGDONG, "jingdong AKc2ln", None, "no colon"),
        (&JINGDONG, "jingdong :c2ln", None, "no key"),
        (&JINGDONG, "jingdong AK:", None, "no signature"),
        (&WOS2, "WOS AK:c2ln", Some(("AK", "c2ln")), "as documented"),
        (&WOS2, "WOS-HMAC-SHA256 Credential=AK", None, "the current scheme"),
        (&AWS2, "AWS AK:c2ln", Some(("AK", "c2ln")), "as documented"),
        (&AWS2, "AWS4-HMAC-SHA256 Credential=AK", None, "version 4"),
    ];
    for (scheme, header, want, why) in rows {
        let parsed = Authorization::parse(scheme, header);
        let got = parsed.as_ref().map(|parsed| (parsed.access_key_id.as_str(), parsed.signature.as_str()));
        assert_eq!(got, *want, "{header:?}: {why}");
        if let Some(parsed) = parsed {
            assert_eq!(Authorization::parse(scheme, &parsed.header(scheme)), Some(parsed));
        }
    }
}

#[test]
fn urls_name_the_key_as_the_scheme_does() {
    let parse = |scheme: &Scheme, query: &str| Presigned::parse(scheme, &uri::parse_query(query).unwrap());
    let whole = |id: &str| Presigned {
        access_key_id: Some(id.into()),
        expires: Some("1".into()),
        signature: Some("a/b=".into()),
    };
    assert_eq!(parse(&JINGDONG, "Expires=1&AccessKey=AK&Signature=a%2Fb%3D"), whole("AK"));
    for name in ["WOSAccessKeyId", "AWSAccessKeyId"] {
        assert_eq!(parse(&WOS2, &format!("{name}=AK&Expires=1&Signature=a%2Fb%3D")), whole("AK"));
    }
    assert_eq!(
        parse(&WOS2, "WOSAccessKeyId=A&WOSAccessKeyId=B&Expires=1&Signature=a%2Fb%3D"),
        whole("A"),
        "the first counts"
    );
    assert_eq!(
        parse(&JINGDONG, "AccessKey=AK"),
        Presigned { access_key_id: Some("AK".into()), ..Presigned::default() }
    );
    assert!(!Presigned::is_in(&JINGDONG, &uri::parse_query("Expires=1&Signature=x").unwrap()));
    let query = Presigned::query(&WOS2, "AK", "1", "a/b=");
    assert_eq!(Presigned::parse(&WOS2, &query), whole("AK"));
}

proptest! {
    #[test]
    fn any_header_is_read_without_a_panic(header in any::<String>(), token in "(jingdong|WOS|AWS)?[ :a-zA-Z0-9=]{0,20}") {
        for scheme in [&AWS2, &JINGDONG, &WOS2] {
            for text in [&header, &token] {
                if let Some(parsed) = Authorization::parse(scheme, text) {
                    prop_assert!(parsed.access_key_id.len() + parsed.signature.len() < text.len());
                }
            }
        }
    }
}
