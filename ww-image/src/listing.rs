//! Listings of directories, which take no more memory than they may.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use futures::StreamExt;
use ww_loader::{Kind, Path};

use crate::union::{Listing, conflict};
use crate::{Entry, Error, Image, Layer};

/// Asked before a listing grows, which a layer may have go on without end.
pub(crate) type Charge<'a> = dyn FnMut(Growth) -> Result<(), Error> + Send + 'a;

/// What a listing grows by.
pub(crate) struct Growth {
    pub(crate) names: u64,
    pub(crate) bytes: usize,
}

impl Growth {
    /// By a name that `layers` layers have.
    pub(crate) fn name(name: &str, layers: usize) -> Self {
        Self {
            names: 1,
            bytes: size_of::<Entry>() + name.len() + layers * size_of::<Layer>(),
        }
    }

    /// By one more layer that has a name.
    fn layer() -> Self {
        Self {
            names: 0,
            bytes: size_of::<Layer>(),
        }
    }
}

impl Image {
    /// What is in the directory at `path`, as [`read_dir`](Self::read_dir) gives it,
    /// where all together takes `most` bytes at the most: each name as many as it has
    /// and about a hundred more, and fifty for each further layer that has it. As soon
    /// as there are more, no layer is asked for any.
    ///
    /// # Errors
    ///
    /// [`Error::Listing`] where it takes more; otherwise as [`read_dir`](Self::read_dir).
    pub async fn read_dir_within(&self, path: &Path, most: usize) -> Result<Vec<Entry>, Error> {
        let mut left = most;
        let mut charge = |more: Growth| {
            left = left.checked_sub(more.bytes).ok_or_else(|| Error::Listing {
                path: path.clone(),
                layers: self.described(),
                limit: most,
            })?;
            Ok(())
        };
        self.list(path, &mut charge).await
    }
}

/// The listings of the layers as one, sorted by name.
pub(crate) async fn united(
    path: &Path,
    dirs: Vec<(Layer, Listing)>,
    charge: &mut Charge<'_>,
) -> Result<Vec<Entry>, Error> {
    let mut merged = BTreeMap::new();
    for (layer, mut entries) in dirs {
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(|source| layer.error(path, source))?;
            merge(&mut merged, path, entry, &layer, charge)?;
        }
    }
    let entries = merged
        .into_iter()
        .map(|(name, Merged { kind, layers })| Entry { name, kind, layers });
    Ok(entries.collect())
}

/// An entry but for its name.
struct Merged {
    kind: Kind,
    layers: Vec<Layer>,
}

fn merge(
    merged: &mut BTreeMap<String, Merged>,
    dir: &Path,
    entry: ww_loader::Entry,
    layer: &Layer,
    charge: &mut Charge<'_>,
) -> Result<(), Error> {
    match merged.entry(entry.name) {
        Slot::Vacant(slot) => {
            charge(Growth::name(slot.key(), 1))?;
            let (kind, layers) = (entry.kind, vec![layer.clone()]);
            slot.insert(Merged { kind, layers });
        }
        Slot::Occupied(mut slot) => {
            charge(Growth::layer())?;
            let path = dir.resolve(slot.key());
            let below = slot.get_mut();
            match (below.kind, entry.kind, below.layers.last()) {
                (Kind::Dir, Kind::Dir, _) => {}
                (Kind::Dir, kind, Some(dir)) => return Err(conflict(&path?, dir, layer, kind)),
                (kind, Kind::Dir, Some(other)) => {
                    return Err(conflict(&path?, layer, other, kind));
                }
                _ => below.kind = entry.kind,
            }
            below.layers.push(layer.clone());
        }
    }
    Ok(())
}
