# State of a job of Grid Engine, in Snakemake's words: status.sh NUMBER
if qstat -j "$1" >/dev/null 2>&1; then
    echo running
    exit
fi
# Some seconds pass between a job's end and its entry in the accounting; until then it counts as running.
qacct -j "$1" 2>/dev/null | awk '
    $1 == "failed" || $1 == "exit_status" { known = 1; if ($2 != 0) bad = 1 }
    END { print known ? (bad ? "failed" : "success") : "running" }'
