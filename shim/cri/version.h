// What this runtime calls itself, in CRI and on the command line.
#pragma once

namespace podshim::cri {

inline constexpr char kRuntimeName[] = "podshim";
inline constexpr char kRuntimeVersion[] = "0.1.0";

}  // namespace podshim::cri
