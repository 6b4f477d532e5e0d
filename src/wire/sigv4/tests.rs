//! Vectors published by Amazon, and others computed by other code than this.

use super::*;
use proptest::prelude::*;

/// One signed request and what it must give.
struct Vector {
    method: &'static str,
    path: &'static str,
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    payload_hash: &'static str,
    canonical_sha256: &'static str,
    signature: &'static str,
}

const AMAZON: Signer = Signer {
    access_key_id: "AKIAIOSFODNN7EXAMPLE",
    secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    time: "20130524T000000Z",
    region: "us-east-1",
};

const JD: Signer = Signer {
    access_key_id: "JDC_TESTACCESSKEY01",
    secret: "test-secret-key-0123456789abcdefghijklmn",
    time: "20240102T030405Z",
    region: "cn-north-1",
};

struct Signer {
    access_key_id: &'static str,
    secret: &'static str,
    time: &'static str,
    region: &'static str,
}

impl Signer {
    fn time(&self) -> AmzDate {
        AmzDate::parse(self.time).unwrap()
    }

    fn scope(&self) -> Scope {
        Scope::new(&self.time(), self.region)
    }

    fn key(&self) -> SigningKey {
        SigningKey::derive(&AWS4, self.secret, &self.scope())
    }

    fn check(&self, vector: &Vector) {
        let query = uri::parse_query(vector.query).unwrap();
        let date = [("X-Amz-Date", self.time), ("x-amz-content-sha256", vector.payload_hash)];
        let presigned = Presigned::is_in(&AWS4, &query);
        let headers: Vec<(&str, &str)> =
            vector.headers.iter().copied().chain(date.into_iter().filter(|_| !presigned)).collect();
        let request = Request {
            method: vector.method,
            path: vector.path,
            query: &query,
            headers: &headers,
            payload_hash: vector.payload_hash,
        };
        let signed = request.header_names();
        let canonical = request.canonical(&AWS4, &signed);
        assert_eq!(sha256_hex(canonical.as_bytes()), vector.canonical_sha256, "{canonical}");
        let signature = request.signature(&AWS4, &self.key(), &self.time(), &self.scope(), &signed);
        assert_eq!(signature, vector.signature, "{canonical}");
    }
}

const EXAMPLE_HOST: (&str, &str) = ("Host", "examplebucket.s3.amazonaws.com");
const JD_HOST: (&str, &str) = ("host", "mybucket.s3.cn-north-1.jdcloud-oss.com");
const HELLO_SHA256: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

#[test]
fn amazons_published_requests_are_signed_as_published() {
    let vectors = [
        Vector {
            method: "GET",
            path: "/test.txt",
            query: "",
            headers: &[EXAMPLE_HOST, ("range", "bytes=0-9")],
            payload_hash: EMPTY_SHA256,
            canonical_sha256: "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
            signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        },
        Vector {
            method: "PUT",
            path: "/test%24file.text",
            query: "",
            headers: &[
                EXAMPLE_HOST,
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            payload_hash: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            canonical_sha256: "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
            signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        },
        Vector {
            method: "GET",
            path: "/",
            query: "lifecycle",
            headers: &[EXAMPLE_HOST],
            payload_hash: EMPTY_SHA256,
            canonical_sha256: "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
            signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        },
        Vector {
            method: "GET",
            path: "",
            query: "prefix=J&max-keys=2",
            headers: &[EXAMPLE_HOST],
            payload_hash: EMPTY_SHA256,
            canonical_sha256: "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
            signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        },
        Vector {
            method: "GET",
            path: "/test.txt",
            query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1\
                    %2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
                    &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
            headers: &[EXAMPLE_HOST],
            payload_hash: UNSIGNED_PAYLOAD,
            canonical_sha256: "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04",
            signature: "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        },
    ];
    assert_eq!(vectors[1].payload_hash, sha256_hex(b"Welcome to Amazon S3."));
    for vector in &vectors {
        AMAZON.check(vector);
    }
}

/// Headers that both chunked examples share, without those that [`Signer::check`] adds.
const CHUNKED: [(&str, &str); 4] = [
    ("Host", "s3.amazonaws.com"),
    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ("Content-Encoding", "aws-chunked"),
    ("x-amz-decoded-content-length", "66560"),
];

fn chunk_signatures(signer: &mut ChunkSigner) -> [String; 3] {
    [&[b'a'; 65536][..], &[b'a'; 1024][..], b""].map(|data| signer.chunk(&sha256_hex(data)))
}

#[test]
fn amazons_published_chunks_are_signed_as_published() {
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    AMAZON.check(&Vector {
        method: "PUT",
        path: "/examplebucket/chunkObject.txt",
        query: "",
        headers: &[CHUNKED[0], CHUNKED[1], CHUNKED[2], CHUNKED[3], ("content-length", "66824")],
        payload_hash: STREAMING_SIGNED,
        canonical_sha256: "cee3fed04b70f867d036f722359b0b1f2f0e5dc0efadbc082b76c4c60e316455",
        signature: seed,
    });
    let mut signer = ChunkSigner::new(&AWS4, AMAZON.key(), AMAZON.time(), &AMAZON.scope(), seed);
    assert_eq!(
        chunk_signatures(&mut signer),
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ]
    );
}

#[test]
fn amazons_published_trailer_is_signed_as_published() {
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    AMAZON.check(&Vector {
        method: "PUT",
        path: "/examplebucket/chunkObject.txt",
        query: "",
        headers: &[CHUNKED[0], CHUNKED[1], CHUNKED[2], CHUNKED[3], ("x-amz-trailer", "x-amz-checksum-crc32c")],
        payload_hash: STREAMING_SIGNED_TRAILER,
        canonical_sha256: "44d48b8c2f70eae815a0198cc73d7a546a73a93359c070abbaa5e6c7de112559",
        signature: seed,
    });
    let mut signer = ChunkSigner::new(&AWS4, AMAZON.key(), AMAZON.time(), &AMAZON.scope(), seed);
    assert_eq!(
        chunk_signatures(&mut signer),
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ]
    );
    let trailer = signer.trailer([("X-Amz-Checksum-Crc32c", "sOO8/Q==")]);
    assert_eq!(trailer, "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435");
}

#[test]
fn the_signing_key_is_derived_step_by_step() {
    let want = "daa40196b1df5e12d5fde51dd920f1e30cdfa17efd60d1554b81694808215bcd";
    assert_eq!(HEXLOWER.encode(&JD.key().0), want);
    assert_eq!(format!("{:?}", JD.key()), "SigningKey(..)");
}

#[test]
fn requests_of_every_kind_are_signed_as_computed_elsewhere() {
    let complete = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>\
                    <ETag>\"5eb63bbbe01eeed093cb22bb8f5acdc3\"</ETag></Part></CompleteMultipartUpload>";
    let delete = "<Delete><Quiet>false</Quiet><Object><Key>a.txt</Key></Object></Delete>";
    for vector in OBJECT_VECTORS.iter().chain(BUCKET_VECTORS) {
        JD.check(vector);
    }
    assert_eq!(OBJECT_VECTORS[3].payload_hash, sha256_hex(complete.as_bytes()));
    assert_eq!(BUCKET_VECTORS[1].payload_hash, sha256_hex(delete.as_bytes()));
}

const OBJECT_VECTORS: &[Vector] = &[
    Vector {
        method: "POST",
        path: "/backup/big.bin",
        query: "uploads",
        headers: &[JD_HOST, ("content-type", "application/octet-stream"), ("x-amz-storage-class", "STANDARD_IA")],
        payload_hash: EMPTY_SHA256,
        canonical_sha256: "35540564d4741627f984b4b2929dc81bc364ae7026bc3f66adb72f620238db0f",
        signature: "f5e2e54d13fb7a144c1c31879c30e0b19dccf4ea7f689909a865d45de06760ed",
    },
    Vector {
        method: "PUT",
        path: "/backup/big.bin",
        query: "uploadId=0123456789ABCDEF&partNumber=1",
        headers: &[JD_HOST, ("content-md5", "XrY7u+Ae7tCTyyK7j1rNww==")],
        payload_hash: HELLO_SHA256,
        canonical_sha256: "bf3cf76dbcdeb3181e1775af5bd62d0a7abe00189daa67a5110617fc7cb91157",
        signature: "4f9d113a365d04c6d67ffe338d93be8270323622299d16e7795e927b08e51d4f",
    },
    Vector {
        method: "PUT",
        path: "/backup/big.bin",
        query: "partNumber=1&uploadId=0123456789ABCDEF",
        headers: &[JD_HOST],
        payload_hash: UNSIGNED_PAYLOAD,
        canonical_sha256: "1e2f78a077109db5e92c69f9b969a29538e9e3c617a4f3114ec805fd69166c1f",
        signature: "232274a34e268354a4cdd96e0eeb0ec38546e77fa3f22c8f199679ce80a8ef4d",
    },
    Vector {
        method: "POST",
        path: "/backup/big.bin",
        query: "uploadId=0123456789ABCDEF",
        headers: &[JD_HOST, ("content-type", "application/xml")],
        payload_hash: "424184c62fc35985fe0a4415fb8b61e45b36546ce75997f700100f059ce77514",
        canonical_sha256: "b3e6809eeb46957f14571f4d92271ddc7199ff03f0d8ded40eae639b96f466e2",
        signature: "3e9c08424a161918a56d775cb69e115a329ed64205c5e35b0e8b67a4668a30bf",
    },
    Vector {
        method: "GET",
        path: "/mybucket/%E7%9B%AE%E5%BD%95/a%20b%2Bc~%281%29.txt",
        query: "",
        headers: &[("host", "127.0.0.1:9000"), ("x-amz-security-token", "TOKEN123")],
        payload_hash: EMPTY_SHA256,
        canonical_sha256: "1ea7c3ee7fb2072933a701c020922f934aeadf76d6999306031c90241e8c74b7",
        signature: "2e777dd503287933179fe1a1b96f48fb6beb88401e5908e1df9ac0d587463391",
    },
    Vector {
        method: "GET",
        path: "/backup/big.bin",
        query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=JDC_TESTACCESSKEY01%2F20240102%2Fcn-north-1%2Fs3\
                %2Faws4_request&X-Amz-Date=20240102T030405Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host",
        headers: &[JD_HOST],
        payload_hash: UNSIGNED_PAYLOAD,
        canonical_sha256: "aa5589bf05cd3473d4fa688c2823332fc789c16ddad96f0f90bf4aa45023374f",
        signature: "94f87740939de3ec36cb526c87e668696aad5e8f6645e4b14ab41df98766d08f",
    },
    Vector {
        method: "PUT",
        path: "/backup/big.bin",
        query: "partNumber=2&uploadId=0123456789ABCDEF",
        headers: &[JD_HOST, ("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", "11")],
        payload_hash: STREAMING_SIGNED,
        canonical_sha256: "9b07802f18c991d649b58821f29feddd8ea6bfbb8a652852b0639a6bbca77ae5",
        signature: "9f7c91f9dd5925c83ec60ab4a5ab272c02ab6298f4054c6e179bc4c525727b47",
    },
    Vector {
        method: "PUT",
        path: "/backup/big.bin",
        query: "partNumber=3&uploadId=0123456789ABCDEF",
        headers: &[
            JD_HOST,
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "11"),
            ("x-amz-trailer", "x-amz-checksum-crc32c"),
        ],
        payload_hash: STREAMING_UNSIGNED_TRAILER,
        canonical_sha256: "e9912f3dd5d0ccb3fbd8ea104b8ffa662529930649c6d1b14a13b8137b15992c",
        signature: "a9f7be0734781cb84cb1e391d96f934d208381f5e335e508b4247bba1ad99dc2",
    },
];

const BUCKET_VECTORS: &[Vector] = &[
    Vector {
        method: "GET",
        path: "/",
        query: "list-type=2&prefix=backup%2F&delimiter=%2F&max-keys=1000&encoding-type=url",
        headers: &[JD_HOST],
        payload_hash: EMPTY_SHA256,
        canonical_sha256: "227c2248385ee76b60997f74ba5f98318fb58418d4374f226341fa04c08adfbe",
        signature: "4a71a4e2d212febb6ec14ae319312907c7561a16f301949aa784cd472cdf0ca5",
    },
    Vector {
        method: "POST",
        path: "/",
        query: "delete",
        headers: &[JD_HOST, ("content-md5", "TisZEVqjLR/C4+yfsYS2BA==")],
        payload_hash: "e53027f8844b132f30aff6609b4fff6188e4043a7595bbe72ff3152fc0dfb52c",
        canonical_sha256: "6049eea94d2650a81d21c61ca842e9775f5022c065faee48603e35025f54f52d",
        signature: "105990d32e327705c489a5e58113e417ad90cd1442a91ac6f9168fa9f10d0216",
    },
];

#[test]
fn a_single_chunk_and_its_end_are_signed_as_computed_elsewhere() {
    let mut signer = ChunkSigner::new(&AWS4, JD.key(), JD.time(), &JD.scope(), OBJECT_VECTORS[6].signature);
    let first = signer.chunk(HELLO_SHA256);
    assert_eq!(first, "b27d99e205a974e4f128800f88efaea77a2ceb92ce37a35f8aa6197b1873df8c");
    let last = signer.chunk(EMPTY_SHA256);
    assert_eq!(last, "a53002bfe05aade4d95ab77e306f60b365864c2021fd3adb7d2c2cfe40d05704");
}

#[test]
fn header_values_are_trimmed_collapsed_and_joined() {
    let headers = [("X-Amz-Meta-A", "  one   two "), ("x-amz-meta-a", "three"), ("Host", "h"), ("accept", "x")];
    let request = Request { method: "GET", path: "/a//../b", query: &[], headers: &headers, payload_hash: "P" };
    let signed = ["x-amz-meta-a".to_owned(), "host".to_owned()];
    let want = "GET\n/a//../b\n\nhost:h\nx-amz-meta-a:one two,three\n\nhost;x-amz-meta-a\nP";
    assert_eq!(request.canonical(&AWS4, &signed), want);
    assert_eq!(request.header_names(), ["accept", "host", "x-amz-meta-a"]);
}

#[test]
fn authorization_headers_are_read_in_every_spelling() {
    let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
    let want = Authorization {
        access_key_id: AMAZON.access_key_id.into(),
        scope: AMAZON.scope(),
        signed_headers: vec!["host".into(), "x-amz-date".into()],
        signature: signature.into(),
    };
    let credential = "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
    for separator in [",", ", ", " , "] {
        let header = format!(
            "AWS4-HMAC-SHA256 {credential}{separator}SignedHeaders=host;x-amz-date{separator}Signature={signature}"
        );
        assert_eq!(Authorization::parse(&AWS4, &header).as_ref(), Ok(&want));
    }
    assert_eq!(Authorization::parse(&AWS4, &want.header(&AWS4)).as_ref(), Ok(&want));
}

#[test]
fn malformed_authorization_headers_are_refused() {
    let good = "AWS4-HMAC-SHA256 Credential=A/20130524/r/s3/aws4_request, SignedHeaders=host, Signature=";
    let good = format!("{good}{EMPTY_SHA256}");
    assert!(Authorization::parse(&AWS4, &good).is_ok());
    let rows: &[(&str, &str, ParseError)] = &[
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256", ParseError::Algorithm("AWS4-HMAC-SHA256")),
        ("AWS4-HMAC-SHA256", "AWS", ParseError::Algorithm("AWS4-HMAC-SHA256")),
        ("/s3/", "/ec2/", ParseError::Credential("s3", "aws4_request")),
        ("A/2013", "/2013", ParseError::Credential("s3", "aws4_request")),
        ("20130524", "2013-5-24", ParseError::Credential("s3", "aws4_request")),
        ("aws4_request", "aws5_request", ParseError::Credential("s3", "aws4_request")),
        ("SignedHeaders=host", "SignedHeaders=", ParseError::Malformed("SignedHeaders")),
        ("SignedHeaders=host", "SignedHeaders=Host", ParseError::Malformed("SignedHeaders")),
        ("SignedHeaders=host", "SignedHeaders=host;a;host", ParseError::Malformed("SignedHeaders")),
        (" SignedHeaders=host,", "", ParseError::Missing("SignedHeaders")),
        ("e3b0", "E3B0", ParseError::Malformed("Signature")),
        ("e3b0", "", ParseError::Malformed("Signature")),
        ("Signature=", "Sig=", ParseError::Malformed("Authorization")),
    ];
    for (from, to, want) in rows {
        let header = good.replace(from, to);
        assert_eq!(Authorization::parse(&AWS4, &header), Err(want.clone()), "{header}");
    }
}

#[test]
fn presigned_parameters_read_back() {
    let mut presigned = Presigned {
        access_key_id: "with/slash".into(),
        scope: AMAZON.scope(),
        time: AMAZON.time(),
        expires_seconds: 86_400,
        signed_headers: vec!["host".into()],
        security_token: Some("to+ken/=".into()),
        signature: EMPTY_SHA256.into(),
    };
    let query = presigned.signed_query(&AWS4);
    assert_eq!(Presigned::parse(&AWS4, &query), Ok(presigned.clone()));
    for (name, bad) in [("Expires", "0"), ("Expires", "604801"), ("Date", "x"), ("Signature", "x"), ("Algorithm", "")] {
        let mut query = query.clone();
        let name = format!("X-Amz-{name}");
        query.iter_mut().find(|(n, _)| *n == name).unwrap().1 = bad.into();
        assert!(Presigned::parse(&AWS4, &query).is_err(), "{name}={bad:?}");
    }
    presigned.security_token = None;
    assert_eq!(Presigned::parse(&AWS4, &presigned.signed_query(&AWS4)), Ok(presigned));
    assert!(!Presigned::is_in(&AWS4, &[("x-id".into(), "GetObject".into())]));
}

proptest! {
    #[test]
    fn no_header_panics(text in "(AWS4-HMAC-SHA256 )?[A-Za-z0-9=,;/ -]{0,80}") {
        let _ = Authorization::parse(&AWS4, &text);
    }
}

#[test]
fn more_signed_headers_than_a_request_can_have_are_refused() {
    let header = |names: usize| {
        let names: Vec<String> = (0..names).map(|at| format!("h{at}")).collect();
        format!(
            "AWS4-HMAC-SHA256 Credential=A/20130524/r/s3/aws4_request,SignedHeaders={},Signature={}",
            names.join(";"),
            "0".repeat(64)
        )
    };
    assert_eq!(
        Authorization::parse(&AWS4, &header(SIGNED_HEADERS_MAX)).unwrap().signed_headers.len(),
        SIGNED_HEADERS_MAX
    );
    let refused = Authorization::parse(&AWS4, &header(SIGNED_HEADERS_MAX + 1));
    assert_eq!(refused, Err(ParseError::Malformed("SignedHeaders")));
}
