// Sealed memory files: a program or a message that nobody can change after it was handed over.
// Any thread. Needs memfd_create(2) (3.17); on a host with vm.memfd_noexec=2 an executable one is refused (EACCES).
#pragma once

#include <span>
#include <string_view>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::sys {

enum class MemfdKind { data, program };

// Holds `parts` one after another, sealed against writing, growing and shrinking. `name` shows in /proc/<pid>/maps.
Result<Fd> sealed_memfd(const char* name, MemfdKind kind, std::span<const std::string_view> parts);

// True when nobody can shrink or write `fd`: mapping it is safe from SIGBUS and from changes under the reader's eyes.
bool is_sealed(const Fd& fd);

}  // namespace podshim::sys
