use bytes::Bytes;
use unsigned_varint::decode;

use super::{Link, MAX_LINKS, Node};
use crate::ipld::{Cid, CodecError};

pub(super) fn node(block: &Bytes) -> Result<Node, CodecError> {
    let mut links = Vec::new();
    let data = fields(block, |mut reader| {
        links.push(link(&mut reader)?);
        Ok(())
    })?;
    Ok(Node { links, data })
}

/// The node without its links.
pub(super) fn data(block: &Bytes) -> Result<Node, CodecError> {
    let data = fields(block, |_| Ok(()))?;
    let links = Vec::new();
    Ok(Node { links, data })
}

/// The data of a node, each of whose links goes to `take`.
fn fields(
    block: &Bytes,
    mut take: impl FnMut(Reader<'_>) -> Result<(), CodecError>,
) -> Result<Option<Bytes>, CodecError> {
    let mut reader = Reader { block, at: 0 };
    let (mut data, mut links) = (None, 0);
    // Links stand together, before the data or, as old writers had it, behind.
    let mut closed = false;
    while !reader.is_at_end() {
        let start = reader.at;
        let fault = |reason| Err(CodecError::DagPb { reason, at: start });
        match reader.key()? {
            (1, 2) if data.is_some() => return fault("it has data twice"),
            (1, 2) => {
                closed = links > 0;
                data = Some(reader.bytes()?);
            }
            (2, 2) if closed => return fault("its links do not stand together"),
            (2, 2) if links == MAX_LINKS => return fault("it has too many links"),
            (2, 2) => {
                let end = reader.end()?;
                let body = block.slice(..end);
                take(Reader {
                    block: &body,
                    at: reader.at,
                })?;
                links += 1;
                reader.at = end;
            }
            _ => return fault("a node has no such field"),
        }
    }
    Ok(data)
}

fn link(reader: &mut Reader<'_>) -> Result<Link, CodecError> {
    let start = reader.at;
    let (mut cid, mut name, mut size) = (None, None, None);
    let mut last = 0;
    while !reader.is_at_end() {
        let at = reader.at;
        let fault = |reason| Err(CodecError::DagPb { reason, at });
        let (number, wire) = reader.key()?;
        if number <= last {
            return fault("the fields of a link are out of order, or repeated");
        }
        last = number;
        match (number, wire) {
            (1, 2) => cid = Some(Cid::from_bytes(&reader.bytes()?)?),
            (2, 2) => name = Some(reader.bytes()?),
            (3, 0) => size = Some(reader.varint()?),
            _ => return fault("a link has no such field"),
        }
    }
    match cid {
        Some(cid) => Ok(Link { cid, name, size }),
        None => Err(CodecError::DagPb {
            reason: "a link has no CID",
            at: start,
        }),
    }
}

struct Reader<'b> {
    block: &'b Bytes,
    /// Never past the end of the block.
    at: usize,
}

impl Reader<'_> {
    fn is_at_end(&self) -> bool {
        self.at == self.block.len()
    }

    /// A field's number and wire type.
    fn key(&mut self) -> Result<(u64, u64), CodecError> {
        let key = self.varint()?;
        Ok((key >> 3, key & 7))
    }

    fn varint(&mut self) -> Result<u64, CodecError> {
        let at = self.at;
        match decode::u64(&self.block[at..]) {
            Ok((value, rest)) => {
                self.at = self.block.len() - rest.len();
                Ok(value)
            }
            Err(_) => Err(CodecError::DagPb {
                reason: "a number is cut short, too large, or longer than it need be",
                at,
            }),
        }
    }

    /// Reads a length and gives the end of what it measures.
    fn end(&mut self) -> Result<usize, CodecError> {
        let at = self.at;
        let len = self.varint()?;
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| self.at.checked_add(len));
        end.filter(|end| *end <= self.block.len())
            .ok_or(CodecError::DagPb {
                reason: "a field is longer than what holds it",
                at,
            })
    }

    fn bytes(&mut self) -> Result<Bytes, CodecError> {
        let end = self.end()?;
        let bytes = self.block.slice(self.at..end);
        self.at = end;
        Ok(bytes)
    }
}
