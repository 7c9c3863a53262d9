"""What to do about an alarm, in a sentence for who was just woken. The whole story is in docs/operations.md."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

REMEDIES: dict[str, Promise] = {
    "rollover_failed": _(
        "manage.py verify_day names each difference; anything else is the database's: once it is back the "
        "rollover goes on where it was"
    ),
    "rollover_late": _("Do worker-upkeep and beat run? By hand: manage.py rollover"),
    "history_changed": _(
        "manage.py verify_day names what differs. If it is to stay so: manage.py rollover --date … --accept "
        '"why"; if not, take the day from an older backup'
    ),
    "spool_differs": _(
        "Was the PC restored from an image, or is a second one sending under this name? Then clear the alarm "
        "in the admin"
    ),
    "checksum_mismatch": _(
        "Two programs write one spool, or a client of your own changes what it sent: stop one, and look at "
        "the dead letter"
    ),
    "ledger_lost": _(
        "The database lost what was committed: find out whether it was a failover, a restored backup or "
        "durability switched off, then clear the alarm"
    ),
    "ledger_hole": _("If the vendor can deliver the time again, replay it"),
    "claim_restored": _(
        "Somebody deleted rows of the ledger by hand: manage.py verify_day says whether anything is missing"
    ),
    "day_empty": _("Were the terminals connected? Replay the day, or enter the closure in the calendar"),
    "partitions_short": _(
        "The log of worker-upkeep says why no room could be made; usually a connection holds the table for hours"
    ),
    "drop_overdue": _(
        "The log of worker-upkeep says what was in the way; manage.py retention drops at once what is past its time"
    ),
    "late_after_drop": _("If it was meant, manage.py archive DATE keeps them and ends the alarm"),
    "daily_not_whole": _(
        "manage.py verify_day names what lacks; manage.py rebuild_candles DATE makes it from the ticks"
    ),
    "rows_without_room": _("Nothing is lost. Is a trading date far from today meant?"),
    "nodes_differ": _("Let the node that differs take its data anew; manage.py nodes DATE compares again"),
    "not_archived": _("manage.py archive; the log of worker-upkeep says why it was not done"),
    "archive_failed": _("The message says why. It clears by itself once the day is archived"),
    "storage_failing": _("Do what the message says about the database. Nothing is lost: batches wait"),
    "void_failed": _("Mend what the message names; it is tried again every half minute"),
    "clock_offset": _("Set the terminal's clock by NTP"),
    "server_clock": _(
        "Set this machine's clock and the database's by NTP, then: manage.py requeue --reason time_future"
    ),
    "mass_refusal": _("Mend the cause that the message names, then requeue the rows"),
    "dead_letters": _("Mend the cause, then: manage.py requeue --code dead_letter"),
    "unsafe_setting": _("The message says what is right and how to set it; manage.py doctor shows everything"),
    "disk_low": _("Make room on the disk, or move what lies on it; it clears within a minute"),
    "broker_failing": _("Bring Redis (or RabbitMQ) back; batches wait meanwhile"),
    "feed_refused": _("Allow the feed in the client's scope in the admin, then: manage.py requeue --code feed_refused"),
    "scope_refused": _("Allow it in the client's scope in the admin, or transfer the symbols: manage.py feeds"),
    "quota_near": _("Find out who names so much, or raise the quota in the admin before it is reached"),
    "quota_reached": _("Raise the quota in the admin if it is meant, then: manage.py requeue --reason quota_reached"),
    "limit_reached": _("The message names the setting; if nobody means it, look at who asks"),
    "events_off": _("Grant the privilege or set the setting that the message names"),
    "calendar_differs": _(
        "Look at the exchange's notice; if ours is wrong, enter the day in the admin (calendar override)"
    ),
    "holidays_failed": _("It is asked again tomorrow; a virtual account has no such call"),
    "masters_failed": _("Tried again every five minutes; by hand: manage.py load_masters --file …"),
    "limits_failed": _("Tried again every five minutes"),
    "outside_limits": _("Compare with the exchange; wrong prices are taken back by manage.py void"),
    "masters_refused": _("If the file is right after all: manage.py load_masters --accept-gone"),
    "repair_failed": _("Tried again every ten minutes; then manage.py repair --date …"),
    "repair_disagrees": _(
        "manage.py gaps --date … names the minutes; manage.py repair --date … --again asks once more"
    ),
    "kis_keys": _("The message says what is wrong with the file of keys"),
    "calendar_ends": _("Update the calendar's data (docs/calendar.md)"),
    "fanout_behind": _(
        "Can the broker be reached, and does naru-fanout run? It catches up by itself, and nothing here waits for it"
    ),
    "redis_away": _("Start Redis, or look why it cannot be reached; batches wait in the terminals"),
    "redis_full": _("redis-cli --bigkeys says of what; stop what makes it, raise maxmemory"),
    "redis_slow": _("Is the machine swapping, or does somebody run KEYS?"),
    "report_failed": _("Look at the mail server and EMAIL_…; by hand: manage.py quality_report DATE --send"),
    "backup_failed": _("The message says why; after mending it: manage.py backup"),
    "backup_unverified": _("Do not count on this backup: look at its report, then manage.py backup --full"),
    "backup_overdue": _("Do worker-backups and beat run, and has the disk room? By hand: manage.py backup"),
    "backup_copy_failed": _(
        "The message says what is wrong with the other place, its keys or its signer; afterwards: "
        "manage.py copy_backups"
    ),
    "backup_copy_wrong": _(
        "Do not count on the other place: find out who changed it, and copy anew to another one (docs/backups.md)"
    ),
    "alert_delivery_failed": _(
        "Ask its owner, or mend what the message names; then, under alert deliveries of the admin: deliver again"
    ),
    "backup_shrunk": _("A backup has less than an older one: find out what is gone before the older one expires"),
}
"""By code of the alarm."""
