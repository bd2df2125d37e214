use capnp::Error;
use capnp::any_pointer;
use capnp::private::capability::ClientHook;
use capnp::private::layout::{PointerBuilder, StructBuilder, StructSize};
use capnp::traits::FromPointerBuilder;

/// How many pointer fields are searched for a capability.
const FIELDS: usize = 16;

/// The struct at a pointer, whatever its fields are.
pub(super) struct Fields<'a>(StructBuilder<'a>);

impl<'a> FromPointerBuilder<'a> for Fields<'a> {
    fn init_pointer(builder: PointerBuilder<'a>, pointers: u32) -> Self {
        let pointers = u16::try_from(pointers).unwrap_or(u16::MAX);
        Self(builder.init_struct(StructSize { data: 0, pointers }))
    }

    fn get_from_pointer(
        builder: PointerBuilder<'a>,
        _: Option<&'a [capnp::Word]>,
    ) -> Result<Self, Error> {
        // Asking for no size leaves the struct as it is.
        let size = StructSize {
            data: 0,
            pointers: 0,
        };
        builder.get_struct(size, None).map(Self)
    }
}

impl Fields<'_> {
    /// Sets the pointer field `index`, which must be there, to a capability.
    pub(super) fn set(&mut self, index: usize, capability: Box<dyn ClientHook>) {
        let mut field = self.0.reborrow().get_pointer_field(index);
        field.set_capability(capability);
    }
}

/// The capability in the pointer field `index` of a struct; none where it is null
/// or something else.
pub(super) fn capability(
    content: any_pointer::Builder<'_>,
    index: usize,
) -> Option<Box<dyn ClientHook>> {
    let fields: Fields<'_> = content.get_as().ok()?;
    let field = fields.0.as_reader().get_pointer_field(index);
    if field.is_null() {
        return None;
    }
    field.get_capability().ok()
}

/// The field in which the one capability of `content` stands; `None` where it
/// stands elsewhere than in the first fields of a struct.
pub(super) fn field_of_one(content: any_pointer::Builder<'_>) -> Option<usize> {
    if content.is_null() {
        return None;
    }
    let fields: Fields<'_> = content.get_as().ok()?;
    let fields = fields.0.as_reader();
    (0..FIELDS).find(|index| {
        let field = fields.get_pointer_field(*index);
        !field.is_null() && field.get_capability().is_ok()
    })
}

/// Points the field `index` of `content`, where a capability stood that is in
/// another table, at `capability` in the table of `content`. That table must be
/// empty.
pub(super) fn relink(
    content: any_pointer::Builder<'_>,
    index: usize,
    capability: Box<dyn ClientHook>,
) -> Result<(), Error> {
    let mut fields: Fields<'_> = content.get_as()?;
    fields.set(index, capability);
    Ok(())
}
