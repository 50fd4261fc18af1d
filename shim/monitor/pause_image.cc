#include "shim/monitor/pause_image.h"

asm(".pushsection .rodata\n"
    "podshim_pause_begin:\n"
    "\t.incbin \"" PODSHIM_PAUSE_FILE
    "\"\n"
    "podshim_pause_end:\n"
    "\t.popsection\n");

extern "C" const char podshim_pause_begin[], podshim_pause_end[];

namespace podshim {

std::string_view pause_image() {
  return {podshim_pause_begin, static_cast<std::size_t>(podshim_pause_end - podshim_pause_begin)};
}

}  // namespace podshim
