/* How full a volume is: the classes, where they begin and where they end. */
#include "instance/pgctl.h"
#include "tests/unit/tap.h"

/* The class of a volume of 1000 with that much free. */
static uint8_t
of(uint8_t before, uint64_t free)
{
	return disk_class(before, free, 1000 - free);
}

int
main(void)
{
	const uint8_t none = CHOICE_disk_class_NONE, low = CHOICE_disk_class_LOW,
		      full = CHOICE_disk_class_FULL;

	CHECK(of(none, 1000) == none && of(none, 150) == none && of(none, 149) == low,
	    "Low begins below 15 %");
	CHECK(of(none, 50) == low && of(none, 49) == full && of(none, 0) == full, "Full below 5 %");
	CHECK(of(low, 179) == low && of(low, 180) == none, "Low ends at 18 %");
	CHECK(of(full, 69) == full && of(full, 70) == low && of(full, 179) == low &&
		  of(full, 180) == none,
	    "Full at 7 %, and it is Low up to 18 %");
	CHECK(of(low, 49) == full && of(low, 60) == low, "from Low it goes on to Full");
	CHECK(disk_class(none, 0, 0) == none, "what has no bound is never full");
	CHECK(disk_class(none, UINT64_MAX / 8, UINT64_MAX / 2) == none &&
		  disk_class(none, 1, UINT64_MAX) == full,
	    "however large");
	CHECK(disk_worst(none, none) == none && disk_worst(low, none) == low &&
		  disk_worst(none, low) == CHOICE_disk_class_WAL_LOW,
	    "of two volumes the one that is full");
	CHECK(
	    disk_worst(low, low) == low && disk_worst(full, full) == full, "PGDATA's if both are");
	CHECK(disk_worst(low, full) == CHOICE_disk_class_WAL_FULL && disk_worst(full, low) == full,
	    "or the worse");
	CHECK(disk_look("/no/such/place", low) == low, "who can not look says what was");
	CHECK(disk_look("/", none) <= full, "and a real one has a class");
	return tap_done();
}
