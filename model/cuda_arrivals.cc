#include "model/cuda_arrivals.h"

#include <mutex>
#include <set>

#include <cuda_runtime_api.h>

#include "model/kernels/cuda_error.h"
#include "model/kernels/grid_arrivals.h"

namespace captiond {
namespace {

// Devices on which somebody has the right. What it guards is one for the whole process: the
// multiprocessors.
class Holders {
 public:
  static Holders& of_process() {
    static Holders holders;
    return holders;
  }
  bool take(int device) {
    const std::lock_guard lock(mutex_);
    return devices_.insert(device).second;
  }
  void give_back(int device) {
    const std::lock_guard lock(mutex_);
    devices_.erase(device);
  }

 private:
  std::mutex mutex_;
  std::set<int> devices_;
};

int current_device() {
  int device = 0;
  kernels::check_cuda(cudaGetDevice(&device), "Asking for the current CUDA device");
  return device;
}

// Empty where the right was taken.
std::string obstacle_on(int device) {
  int shared = 0;
  kernels::check_cuda(cudaDeviceGetAttribute(&shared, cudaDevAttrMpsEnabled, device),
                      "Asking whether processes share the CUDA device's multiprocessors");
  if (shared != 0) return "processes share the multiprocessors of this GPU (MPS)";
  if (!Holders::of_process().take(device)) return "another engine of this process is on this GPU";
  return {};
}

}  // namespace

CudaArrivals::CudaArrivals()
    : device_(current_device()),
      words_(DeviceMemory::zeroed(kernels::kSplitArrivalBytes + kernels::kPackingArrivalBytes,
                                  "meetings of blocks")),
      obstacle_(obstacle_on(device_)) {}

CudaArrivals::~CudaArrivals() {
  if (may_wait()) Holders::of_process().give_back(device_);
}

unsigned* CudaArrivals::of_packing() const {
  return of_splits() + kernels::kSplitArrivalBytes / sizeof(unsigned);
}

}  // namespace captiond
