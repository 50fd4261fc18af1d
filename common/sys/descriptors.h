// What a program may do with its table of open files. Any thread.
//
// raise_descriptor_limit: takes the soft limit of open files up to the hard one, for programs whose descriptors grow
// with what they serve (the soft limit of a shell is a thousand). Children inherit it. Gives the limit that is in
// force, 0 when it is not known.
//
// leave_descriptors: the calling thread goes on with a table of its own, an empty one (close_range(2) with
// CLOSE_RANGE_UNSHARE, since 5.9; no error: without it the thread keeps the common one). For threads that may wait in
// the kernel for ever: a process that has died keeps the files, and the locks, of its table until the last such thread
// goes.
#pragma once

#include <cstddef>

namespace podshim::sys {

std::size_t raise_descriptor_limit();
void leave_descriptors();

}  // namespace podshim::sys
