// Precompiled for shim/cri: the generated messages and what every file of the room includes.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "admin.pb.h"
#include "runtime.pb.h"
