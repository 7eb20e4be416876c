// A kernel that the check of norms.cu must refuse: it divides by a 64-bit number.
__global__ void divides_kernel(long long* y, long long n) { y[threadIdx.x] = y[threadIdx.x] / n; }
