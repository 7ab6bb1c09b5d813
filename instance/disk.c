/*
 * How full a volume is, as a class: a number would be reported again and again. The kernel knows
 * it (statvfs), so nothing is read and no process is started. For pgctl.
 */
#include <sys/statvfs.h>

#include "instance/pgctl.h"

/* A class is left this much above where it begins: WAL segments and temporary files come and go. */
#define LOW_ENDS (DISK_LOW_PERCENT + 3)
#define FULL_ENDS (DISK_FULL_PERCENT + 2)

static bool
is_below(uint64_t available, uint64_t used, unsigned percent)
{
	return (double)available * 100 < ((double)available + (double)used) * percent;
}

uint8_t
disk_class(uint8_t before, uint64_t available, uint64_t used)
{
	bool was_full = before == CHOICE_disk_class_FULL,
	     was_low = before != CHOICE_disk_class_NONE;

	if (is_below(available, used, was_full ? FULL_ENDS : DISK_FULL_PERCENT))
		return CHOICE_disk_class_FULL;
	if (is_below(available, used, was_low ? LOW_ENDS : DISK_LOW_PERCENT))
		return CHOICE_disk_class_LOW;
	return CHOICE_disk_class_NONE;
}

/* Of both volumes the worse, PGDATA's if they are alike. */
uint8_t
disk_worst(uint8_t data, uint8_t wal)
{
	if (data == CHOICE_disk_class_FULL || wal == CHOICE_disk_class_NONE)
		return data;
	if (wal == CHOICE_disk_class_FULL)
		return CHOICE_disk_class_WAL_FULL;
	return data == CHOICE_disk_class_LOW ? data : CHOICE_disk_class_WAL_LOW;
}

/* As df counts: what is kept for root is no room. A file system without a bound of files says 0. */
uint8_t
disk_look(const char *path, uint8_t before)
{
	uint8_t bytes, files;
	struct statvfs s;

	if (statvfs(path, &s) == -1)
		return before;
	bytes = disk_class(before, s.f_bavail, s.f_blocks - s.f_bfree);
	files = disk_class(before, s.f_favail, s.f_files - s.f_ffree);
	return bytes > files ? bytes : files;
}
