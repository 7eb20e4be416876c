// decode PRETRAINED OUT.safetensors: all tensors of published weights as floats under Hugging Face's names.

#include <cstdio>
#include <exception>

#include <loru/io/pretrained/pretrained.hpp>

int main(int argc, char** argv) {
  try {
    if (argc == 3) loru::io::save(argv[2], loru::io::load_pretrained(argv[1]).tensors);
    return argc == 3 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
