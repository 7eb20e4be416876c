#include <cstdint>
#include <cstdio>

std::uint64_t trained_for_avx2();
std::uint64_t trained_for_native();

int main() {
#ifdef WITH_avx2
  std::printf("avx2 %016llx\n", static_cast<unsigned long long>(trained_for_avx2()));
#endif
#ifdef WITH_native
  std::printf("native %016llx\n", static_cast<unsigned long long>(trained_for_native()));
#endif
}
