#include "digest.hpp"

#include <openssl/evp.h>

#include <loru/core/error.hpp>

namespace federate {

namespace {

EVP_MD_CTX* context_of(const std::shared_ptr<void>& pointer) {
  return static_cast<EVP_MD_CTX*>(pointer.get());
}

}  // namespace

Sha256::Sha256()
    : context_{EVP_MD_CTX_new(), [](void* context) { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context)); }},
      good_{context_ && EVP_DigestInit_ex(context_of(context_), EVP_sha256(), nullptr) == 1} {}

void Sha256::add(std::span<const std::byte> bytes) {
  good_ = good_ && EVP_DigestUpdate(context_of(context_), bytes.data(), bytes.size()) == 1;
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  loru::require<loru::Error>(good_ && EVP_DigestFinal_ex(context_of(context_), digest, &length) == 1,
                             "sha256: OpenSSL failed");
  std::string text;
  for (unsigned i = 0; i < length; ++i)
    for (int shift : {4, 0}) text += "0123456789abcdef"[(digest[i] >> shift) & 15];
  return text;
}

}  // namespace federate
