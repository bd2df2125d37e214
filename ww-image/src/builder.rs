use crate::{Image, Layer};

/// Builds an [`Image`] layer by layer.
///
/// ```
/// use ww_image::Image;
/// use ww_loader::Memory;
///
/// let image = Image::builder()
///     .layer(Memory::new())
///     .main_limit(1 << 20)
///     .build();
/// assert_eq!(image.layers().len(), 1);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    layers: Vec<Layer>,
    main_limit: u64,
}

impl Builder {
    /// Puts `layer` over those before it.
    pub fn layer(mut self, layer: impl Into<Layer>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// The longest `bin/main.wasm` that is read, in bytes; by default
    /// [`Image::MAIN_LIMIT`].
    pub fn main_limit(mut self, bytes: u64) -> Self {
        self.main_limit = bytes;
        self
    }

    /// The image of these layers. Nothing is read yet.
    pub fn build(self) -> Image {
        Image::assemble(self.layers, self.main_limit)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            layers: Vec::new(),
            main_limit: Image::MAIN_LIMIT,
        }
    }
}
