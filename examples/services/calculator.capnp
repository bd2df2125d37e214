@0xc0a90a26dc2e7b83;
# Arithmetic on values that stay where the calculator is.

interface Calculator {
  number @0 (number :Float64) -> (value :Value);
}

interface Value {
  read @0 () -> (number :Float64);

  plus @1 (other :Value) -> (value :Value);
  # `other` may be of another calculator.

  times @2 (other :Value) -> (value :Value);
}
