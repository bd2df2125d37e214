//! Images that must be signed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_lite::future::block_on;
use libp2p_identity::Keypair;
use ww_image::{Builder, Cid, Error, Image, Layer, Path, PeerId, SignatureError, signature};
use ww_loader::{Bytes, Loader, Memory, Node, async_trait};

fn tree() -> Memory {
    Memory::files([("bin/main.wasm", "main"), ("etc/motd", "hello")]).unwrap()
}

fn cid() -> Cid {
    block_on(Image::from(tree()).cid()).unwrap()
}

fn other() -> Cid {
    block_on(Image::from(Memory::new()).cid()).unwrap()
}

fn key() -> Keypair {
    Keypair::generate_ed25519()
}

fn id(key: &Keypair) -> PeerId {
    key.public().to_peer_id()
}

fn sign(key: &Keypair) -> Bytes {
    signature::sign(key, &cid()).unwrap()
}

fn builder() -> Builder {
    Image::builder().layer(Layer::new("tree", tree()))
}

fn store(files: &[(String, Bytes)]) -> Layer {
    let files = files.iter().map(|(path, bytes)| (path, bytes.clone()));
    Layer::new("store", Memory::files(files).unwrap())
}

fn reasons(image: &Image) -> Vec<String> {
    match block_on(image.main()).unwrap_err() {
        Error::Unsigned { reasons, .. } => reasons,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_accepted_signature_is_enough_wherever_it_stands() {
    let (one, two) = (key(), key());
    let signers = || [id(&one), id(&two)];
    let at = |key: &Keypair| (format!("{}/{}", cid(), id(key)), sign(key));
    let images = [
        builder().signature(sign(&one)),
        builder().signature(sign(&key())).signature(sign(&one)),
        builder().signatures(store(&[at(&one)])),
        builder()
            .signatures(store(&[]))
            .signatures(store(&[at(&one)]))
            .signature("nonsense"),
    ];
    for builder in images {
        let image = builder.signed_by(signers()).build();
        assert_eq!(image.signer(), None);
        assert_eq!(block_on(image.main()).unwrap(), "main");
        assert_eq!(image.signer(), Some(id(&one)));
        assert_eq!(image.pinned(), Some(cid()));
    }
}

#[test]
fn a_refusal_says_what_is_wrong_with_each_signature() {
    let (accepted, stranger) = (key(), key());
    let mut forged = sign(&accepted).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let (cid, other) = (cid(), other());
    let path = format!("{cid}/{}", id(&accepted));
    let foreign = signature::sign(&accepted, &other).unwrap();
    let long = Bytes::from(vec![0; signature::MAX_LEN + 1]);
    let image = builder()
        .signed_by([id(&accepted)])
        .signature("nonsense")
        .signature(long.clone())
        .signature(foreign.clone())
        .signature(forged.clone())
        .signature(sign(&stranger))
        .signatures(store(&[]))
        .signatures(store(&[(path.clone(), forged.into())]))
        .signatures(store(&[(path.clone(), long)]))
        .build();
    let reasons = reasons(&image);
    let wanted = [
        "signature 1: it is no signed envelope: ".into(),
        "signature 2: it is no signed envelope: it has 4097 bytes".into(),
        format!("signature 3: it is for another image, {other}"),
        "signature 4: it does not match the key it carries".into(),
        format!("signature 5: it is by {}, who is not", id(&stranger)),
        format!("{path} is not in store"),
        format!("{path} in store: it does not match the key it carries"),
        format!("store: {path} has 4097 bytes, over the limit of 4096"),
    ];
    assert_eq!(reasons.len(), wanted.len(), "{reasons:#?}");
    for (reason, wanted) in reasons.iter().zip(wanted) {
        assert!(reason.starts_with(&wanted), "{reason} is not {wanted}");
    }
    let text = block_on(image.main()).unwrap_err().to_string();
    let beginning = format!("layer tree: the content is {cid}, and no accepted signer vouches");
    assert!(text.starts_with(&beginning), "{text}");
}

#[test]
fn without_a_signature_or_a_signer_nothing_is_accepted() {
    let image = builder().signed_by([id(&key())]).build();
    assert_eq!(reasons(&image), ["there is no signature"]);
    let image = builder().signed_by([]).signature(sign(&key())).build();
    assert_eq!(reasons(&image).len(), 1);
    // Nobody asked for one.
    let image = builder().signature("nonsense").build();
    assert_eq!(block_on(image.main()).unwrap(), "main");
}

#[test]
fn a_pin_and_a_signature_must_both_hold() {
    let signer = key();
    let both = |cid: Cid| {
        let builder = builder().pin(cid).signed_by([id(&signer)]);
        builder.signature(sign(&signer)).build()
    };
    assert_eq!(block_on(both(cid()).main()).unwrap(), "main");
    let error = block_on(both(other()).main()).unwrap_err();
    assert!(matches!(error, Error::Pin { .. }), "{error:?}");
    let unsigned = builder().pin(cid()).signed_by([id(&signer)]).build();
    assert_eq!(reasons(&unsigned), ["there is no signature"]);
}

#[test]
fn a_store_that_cannot_be_read_is_no_refusal() {
    struct Failing;

    #[async_trait]
    impl Loader for Failing {
        async fn open(&self, path: &Path) -> Result<Node, ww_loader::Error> {
            Err(ww_loader::Error::Io {
                path: path.clone(),
                loader: "failing".into(),
                source: std::io::Error::other("no route"),
            })
        }
    }

    let signer = key();
    let broken = || Layer::new("broken", Failing);
    let image = builder().signed_by([id(&signer)]).signatures(broken());
    let error = block_on(image.build().main()).unwrap_err();
    assert!(
        matches!(&error, Error::Layer { layer, .. } if **layer == *"broken"),
        "{error:?}"
    );
    let at = (format!("{}/{}", cid(), id(&signer)), sign(&signer));
    let image = builder()
        .signed_by([id(&signer)])
        .signatures(broken())
        .signatures(store(&[at]));
    assert_eq!(block_on(image.build().main()).unwrap(), "main");
}

#[test]
fn an_envelope_for_something_else_is_not_a_signature() {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    struct Envelope {
        #[prost(bytes = "vec", tag = "1")]
        key: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        payload_type: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        payload: Vec<u8>,
        #[prost(bytes = "vec", tag = "5")]
        signature: Vec<u8>,
    }

    let key = key();
    let seal = |domain: &str, payload_type: &[u8], payload: &[u8]| {
        let mut signed = Vec::new();
        for part in [domain.as_bytes(), payload_type, payload] {
            signed.push(u8::try_from(part.len()).unwrap());
            signed.extend_from_slice(part);
        }
        let envelope = Envelope {
            key: key.public().encode_protobuf(),
            payload_type: payload_type.to_vec(),
            payload: payload.to_vec(),
            signature: key.sign(&signed).unwrap(),
        };
        signature::verify(&envelope.encode_to_vec(), &cid())
    };
    let (domain, payload_type) = (signature::DOMAIN, signature::PAYLOAD_TYPE);
    let payload = cid().as_bytes().to_vec();
    assert_eq!(seal(domain, payload_type, &payload), Ok(id(&key)));
    let cases = [
        seal("ww-membrane", payload_type, &payload),
        seal(domain, b"/ww/graft/1", &payload),
        seal(domain, payload_type, b"no CID"),
        seal(domain, payload_type, other().as_bytes()),
    ];
    assert_eq!(cases[0], Err(SignatureError::Unproven));
    assert_eq!(cases[1], Err(SignatureError::OtherPurpose));
    assert!(matches!(cases[2], Err(SignatureError::Malformed { .. })));
    assert!(matches!(cases[3], Err(SignatureError::OtherImage { .. })));
}

/// By a key of RSA that was made by Node and thrown away, over the CID of
/// [`tree`].
const RSA: &str = "\
    0aab02080012a60230820122300d06092a864886f70d01010105000382010f003082010a0282010100c8\
    f5a2dd8770b54d413e954e2d89a9e849f2555f630565a2999c8e1bd3e096eda30be0d6840c442a85359c\
    27f5ca68999dce12c6a7405b396052c5bd90d6c89a5e5ec14151bbb999c3d5de3af6f49687d130367c94\
    749d4c0c08c0799fa13219dfd8a1619548d0a295140df4c0aa8b6169dcc2ba9b48dbcefbc47bc4a68ab1\
    fade61cd89e4f474094f02dc298a46332c51f0f1e0cca27ff7c46dc47cc0ca62e425385df0d293bf956f\
    db142e57217d8b3b9fb5c6d13c9b888ad5cdaaf47abd1a5407897e7c1ca370133b51a37dd46ea7120dd4\
    1e9bab3238d770a5acd3e17f12637b8a69559bbc53ef26e4ec615940640c91ac4dd34df1eb7464c07247\
    128f1b0203010001120b2f77772f696d6167652f311a24017012204da15e4e56336a92a23763b73e653e\
    cd25de5448338dcbf02e5499dfca97d3632a80025cc2944ad2531955b1a3763315b1c41c964ca9c148ad\
    6108561a874f9a2617267ec09c036b37fa7250b76451a4861660213155cf6f4b5a5d64d2ec312927d23a\
    f88f60c1e257489eebd671455bc97e4328cf63b376ab739809db67be01ad73adaf74c9b4dafca4e263d2\
    0a467640d5fd38265fd27ed9099067d7215f598e3e111dd205858772d49af7b8624991c533df39386787\
    a75ce8b5b91bbe8729da9a81d054e8e0f1f7aaab6266bb4ad226c70b5c7550f20efc9ad05202b46c163e\
    24edb183e2b23a971254484f49d07ab89982c478a717544b2e9323ed7b9c1e5ab674637b7ebd404fc55f\
    8e76338000536e536cac8bbf84e2cc177c1e1424b0c2397c";

#[test]
fn keys_of_every_kind_sign() {
    let rsa = bytes(RSA);
    let signer = signature::verify(&rsa, &cid()).unwrap();
    let mut signed = vec![(signer, Bytes::from(rsa))];
    for key in [
        Keypair::generate_ecdsa(),
        Keypair::generate_ed25519(),
        Keypair::generate_secp256k1(),
    ] {
        signed.push((id(&key), sign(&key)));
    }
    for (signer, signature) in &signed {
        let image = builder()
            .signed_by([*signer])
            .signature(signature.clone())
            .build();
        assert_eq!(block_on(image.main()).unwrap(), "main");
        assert_eq!(image.signer(), Some(*signer));
        for at in 0..signature.len() {
            let mut changed = signature.to_vec();
            changed[at] ^= 0x10;
            let verified = signature::verify(&changed, &cid());
            assert_ne!(verified, Ok(*signer), "byte {at}");
        }
    }
}

#[test]
fn a_key_that_is_encoded_in_another_way_is_refused() {
    let key = key();
    let whole = sign(&key).to_vec();
    // The envelope begins with the key: its field, its length, and the key's own
    // kind and bytes. A field that nobody knows changes nothing of the key.
    assert_eq!(whole[..6], [0x0a, 36, 8, 1, 18, 32]);
    let mut padded = whole.clone();
    padded[1] += 2;
    padded.splice(38..38, [0x18, 0]);
    let error = signature::verify(&padded, &cid()).unwrap_err();
    assert!(error.to_string().contains("one way"), "{error}");
    assert_eq!(signature::verify(&whole, &cid()), Ok(id(&key)));
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().map(|char| char.to_digit(16).unwrap()).collect();
    let pairs = digits.chunks(2);
    pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
