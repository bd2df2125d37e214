use libp2p_identity::{Keypair, PeerId, SigningError};
use prost::Message;

use crate::Error;
use crate::envelope::Envelope;

/// What the payload of a signature for a graft is called.
const PAYLOAD_TYPE: &[u8] = b"/ww/graft/1";

/// What a membrane asks a signer to sign: a nonce that it has never used
/// before, for its own domain and one epoch.
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
                asked: domain.to_owned(),
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

    fn foreign() -> Vec<u8> {
        let digit = |byte: &u8| (*byte as char).to_digit(16).unwrap() as u8;
        let digits: Vec<u8> = FOREIGN.as_bytes().iter().map(digit).collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
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
    }
}
