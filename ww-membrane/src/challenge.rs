use libp2p_identity::{Keypair, PeerId, SigningError};
use prost::Message;

use crate::Error;
use crate::envelope::Envelope;

/// What the payload of a signature for a graft is called.
const PAYLOAD_TYPE: &[u8] = b"/ww/graft/1";

/// How much is told of a domain that a signer was asked to sign for, in
/// characters.
const LONGEST: usize = 200;

/// What a membrane asks a signer to sign: a nonce drawn at random for one graft,
/// for the membrane's domain and one epoch.
pub(crate) struct Challenge {
    /// The membrane's domain, `#`, and the epoch's number.
    domain: String,
    nonce: u64,
    seq: u64,
}

impl Challenge {
    /// A challenge of a membrane with this domain, in the epoch `seq`.
    ///
    /// # Errors
    ///
    /// There is no randomness to be had.
    pub(crate) fn new(domain: &str, seq: u64) -> Result<Self, capnp::Error> {
        let nonce = getrandom::u64()
            .map_err(|error| capnp::Error::failed(format!("no nonce for the signer: {error}")))?;
        Ok(Self::with_nonce(domain, seq, nonce))
    }

    fn with_nonce(domain: &str, seq: u64, nonce: u64) -> Self {
        Self {
            domain: format!("{domain}#{seq}"),
            nonce,
            seq,
        }
    }

    /// The challenge that a signer for `own` is asked to answer.
    ///
    /// # Errors
    ///
    /// [`Error::OtherDomain`].
    pub(crate) fn asked(own: &str, domain: &str, nonce: u64) -> Result<Self, Error> {
        let seq = domain.strip_prefix(own).and_then(|rest| {
            let seq = rest.strip_prefix('#')?.parse().ok()?;
            // As a membrane writes it, and in no other way.
            (rest == format!("#{seq}")).then_some(seq)
        });
        match seq {
            Some(seq) => Ok(Self::with_nonce(own, seq, nonce)),
            None => Err(Error::OtherDomain {
                own: own.to_owned(),
                asked: domain.chars().take(LONGEST).collect(),
            }),
        }
    }

    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    pub(crate) fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Answers it with a signature of `key`'s.
    ///
    /// # Errors
    ///
    /// The key cannot sign.
    pub(crate) fn sign(&self, key: &Keypair) -> Result<Vec<u8>, SigningError> {
        let envelope = Envelope::seal(key, &self.domain, PAYLOAD_TYPE, &self.payload())?;
        Ok(envelope.encode_to_vec())
    }

    /// Who answered it with `signature`.
    ///
    /// # Errors
    ///
    /// One of its own for each way in which `signature` answers it not.
    pub(crate) fn verify(&self, signature: &[u8]) -> Result<PeerId, Error> {
        let envelope = Envelope::read(signature)?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(Error::OtherPurpose);
        }
        let payload: [u8; 16] =
            envelope
                .payload
                .as_slice()
                .try_into()
                .map_err(|_| Error::Envelope {
                    reason: format!("its payload has {} bytes, not 16", envelope.payload.len()),
                })?;
        let [nonce, seq] = halves(payload);
        if seq != self.seq {
            return Err(Error::OtherEpoch {
                signed: seq,
                current: self.seq,
            });
        }
        if nonce != self.nonce {
            return Err(Error::Replayed);
        }
        let signer = envelope.signer(&self.domain)?;
        let signer = signer.ok_or_else(|| Error::Unproven {
            domain: self.domain.clone(),
        })?;
        Ok(signer.to_peer_id())
    }

    /// The nonce and the epoch's number, big endian.
    fn payload(&self) -> Vec<u8> {
        [self.nonce.to_be_bytes(), self.seq.to_be_bytes()].concat()
    }
}

fn halves(payload: [u8; 16]) -> [u64; 2] {
    let both = u128::from_be_bytes(payload);
    [(both >> 64) as u64, both as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's `cryptography` package signed, in an envelope put together
    /// by hand: the key whose seed is the bytes 0 to 31, the domain
    /// `ww.example`, epoch 7, nonce 0x0102030405060708.
    const FOREIGN: &str = "0a240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc\
        8664125531b8120b2f77772f67726166742f311a10010203040506070800000000000000072a40b2a4b6\
        b691e4b3a71fee7ae33ec837f6ed12a3fd1c3765fe1d55700d71d46805dfea4dd37ac7782c2aa2b60894\
        afd7d853a3701c638225c083d3c0ce60e43e08";

    /// The same, signed by keys of other kinds that were thrown away.
    const RSA: &str = "\
        0aab02080012a60230820122300d06092a864886f70d01010105000382010f003082010a0282010100c4\
        e3eb87de471d26733d2bd793aae03a690e451dab3667062ef2af4a8ccb24b37d014dbcc89089fe45de02\
        9bfdcdd60dc142644daa2575ee039ff367bcad397434332fc2426a0b03fbb196dc4c0cb705846a68a0ca\
        29ef8bb205c0c497071fce7dd62605f519e235ab9b241886c85f574880f83b4a77b7c6e87695093ae820\
        40e0f53bbcdca886bee8fc8dedf86daf2ecdca839cb94e3de835b37118b45a72a6ebed38732922aefc33\
        fd742f8bd7064153c806515052c5943675ec12eddfb90d006cec39fcd1396a579ae0d6ec49686103bf3c\
        2de693f17fe5fea085bb8bffb7cbf3cd1637a7481195a794c7d975575ffa8649441b53478e95c35d1fcf\
        1213e90203010001120b2f77772f67726166742f311a10010203040506070800000000000000072a8002\
        8e618fc6d3fee9258a55df6bbfdad408bd3f3f7eba13e87778d31917566422c6ed31ef17a04eb64e5729\
        eb305bdda0ff716c7b8fa1fb6cc38506d2fa1f6af66e27c7ee2229007ccfa5b712ef4245c3571099716b\
        51a848b3c3c35350d21662d88a61cca286878b1e1d7e764b5e492292aab6af42d8444dab6e60c9f38262\
        b5998f889a48aa421784b78db24511b3f160368716f03ac934aecca9671a479414b4327a86e31055435a\
        8c3ba61b7aa1d2edd2246cf09ad53e0b099e522a78455e21124a2599525f948e3971adcda971268f2f60\
        122036aad1f35d828a1e93416148a7bda6501582d7bfda09f907e49c372ee3a26ff13e9ccc448f746d21\
        40b3bd17";
    const SECP256K1: &str = "\
        0a250802122103932bf95879dafa72d5bffd85fb972f2d6f767ece41199842160d824d6a5401cb120b2f\
        77772f67726166742f311a10010203040506070800000000000000072a4630440220585bce65df868271\
        2114611243db8cb0bed80a2016db9389d7f7b440444cb29902201e486b53756a5448cb04a05e6588f0da\
        d93da65068e94f3a7fc751587c88abab";
    const ECDSA: &str = "\
        0a5f0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004091354be07a37b0744\
        134c4074aa6f65cad41be79125d8ada67d3fa12c0cecd03df5aab93aab66fc10c12477450ee1b59c2ca0\
        41c9f3ae2df0dff9ff6da82eb8120b2f77772f67726166742f311a100102030405060708000000000000\
        00072a46304402206a37247338c9bccecfc466f98186e334c9f9a538d67c78596f4c0634d3c202720220\
        090c437ad565d2323b45f20cc9a4a1786196649be96b56c0b735e67fcd7bcdc0";

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |byte: &u8| (*byte as char).to_digit(16).unwrap() as u8;
        let digits: Vec<u8> = hex.as_bytes().iter().map(digit).collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    fn foreign() -> Vec<u8> {
        bytes(FOREIGN)
    }

    fn key() -> Keypair {
        let mut seed: Vec<u8> = (0..32).collect();
        Keypair::ed25519_from_bytes(&mut seed).unwrap()
    }

    fn challenge() -> Challenge {
        Challenge::with_nonce("ww.example", 7, 0x0102_0304_0506_0708)
    }

    #[test]
    fn envelopes_are_those_of_another_implementation() {
        assert_eq!(challenge().sign(&key()).unwrap(), foreign());
        let peer = challenge().verify(&foreign()).unwrap();
        assert_eq!(peer, key().public().to_peer_id());
    }

    #[test]
    fn keys_of_every_kind_are_verified() {
        use libp2p_identity::KeyType;
        for (hex, kind) in [
            (FOREIGN, KeyType::Ed25519),
            (RSA, KeyType::RSA),
            (SECP256K1, KeyType::Secp256k1),
            (ECDSA, KeyType::Ecdsa),
        ] {
            let signature = bytes(hex);
            let envelope = Envelope::read(&signature).unwrap();
            let key = envelope.signer(challenge().domain()).unwrap().unwrap();
            assert_eq!(key.key_type(), kind);
            let peer = challenge().verify(&signature);
            assert_eq!(peer, Ok(key.to_peer_id()), "{kind:?}");
            let other = Challenge::with_nonce("ww.example", 7, 1);
            assert_eq!(other.verify(&signature), Err(Error::Replayed), "{kind:?}");
            for at in 0..signature.len() {
                let mut changed = signature.clone();
                changed[at] ^= 0x10;
                assert!(challenge().verify(&changed).is_err(), "{kind:?} {at}");
            }
        }
    }

    #[test]
    fn no_cut_and_no_flipped_bit_is_accepted() {
        let signature = foreign();
        for end in 0..signature.len() {
            assert!(challenge().verify(&signature[..end]).is_err(), "{end}");
        }
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(challenge().verify(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn each_way_to_be_wrong_has_its_own_reason() {
        let asked = challenge();
        let wrong = |domain, seq, nonce| {
            let other = Challenge::with_nonce(domain, seq, nonce);
            asked.verify(&other.sign(&key()).unwrap()).unwrap_err()
        };
        let unproven = Error::Unproven {
            domain: "ww.example#7".into(),
        };
        assert_eq!(wrong("ww.other", 7, asked.nonce), unproven);
        assert_eq!(wrong("ww.example", 7, 1), Error::Replayed);
        let stale = Error::OtherEpoch {
            signed: 6,
            current: 7,
        };
        assert_eq!(wrong("ww.example", 6, asked.nonce), stale);

        let sealed = |payload_type: &[u8], payload: &[u8]| {
            let envelope = Envelope::seal(&key(), asked.domain(), payload_type, payload);
            let bytes = envelope.unwrap().encode_to_vec();
            asked.verify(&bytes).unwrap_err()
        };
        assert_eq!(sealed(b"/ww/other", &asked.payload()), Error::OtherPurpose);
        let long = sealed(PAYLOAD_TYPE, &[0; 17]);
        assert!(matches!(long, Error::Envelope { .. }), "{long}");
        let huge = sealed(PAYLOAD_TYPE, &[0; 5000]);
        assert!(huge.to_string().contains("limit of 4096"), "{huge}");
    }

    #[test]
    fn a_signer_signs_for_its_own_domain_alone() {
        for (asked, seq) in [
            ("ww.example#7", Some(7)),
            ("ww.example#18446744073709551615", Some(u64::MAX)),
            ("ww.example#18446744073709551616", None),
            ("ww.example#07", None),
            ("ww.example#+7", None),
            ("ww.example#", None),
            ("ww.example", None),
            ("ww.examples#7", None),
            ("other#7", None),
            ("ww.example#7#7", None),
            ("", None),
        ] {
            let challenge = Challenge::asked("ww.example", asked, 1).ok();
            assert_eq!(challenge.map(|challenge| challenge.seq), seq, "{asked}");
        }
        let endless = "x".repeat(1 << 20);
        let refused = Challenge::asked("ww.example", &endless, 1).err().unwrap();
        assert!(refused.to_string().len() < 300, "what is told is bounded");
    }

    #[test]
    fn no_two_domains_ask_for_the_same_signature() {
        // Domains and epochs that look alike when they are put together.
        let alike = [
            ("a", 1),
            ("a#1", 1),
            ("a#1#1", 1),
            ("a#", 1),
            ("", 1),
            ("#", 11),
        ];
        for (domain, seq) in alike {
            let signed = Challenge::with_nonce(domain, seq, 1).sign(&key()).unwrap();
            for (other, other_seq) in alike {
                let asked = Challenge::with_nonce(other, other_seq, 1);
                let answered = asked.verify(&signed).is_ok();
                assert_eq!(answered, domain == other, "{domain} {other}");
                let asked = Challenge::asked(domain, asked.domain(), 1);
                assert_eq!(asked.is_ok(), domain == other, "{domain} {other}");
            }
        }
    }
}
