-- Lead conversion funnel by month of creation, source and currency: leads, those converted, those
-- that became an opportunity, those that were won, and the median days between the steps. The
-- currency is the opportunity's, else the lead's. Amounts of 10^27 or more, which no field of
-- Salesforce holds, are left out.
WITH
steps AS (
    SELECT
        date_trunc('month', l.CreatedDate)::DATE AS month,
        coalesce(l.LeadSource, '(none)') AS source,
        coalesce(o.CurrencyIsoCode, l.CurrencyIsoCode) AS currency,
        l.IsConverted,
        o.Id AS opportunity,
        o.IsWon,
        datediff(day, l.CreatedDate::DATE, l.ConvertedDate)::FLOAT8 AS to_conversion,
        CASE WHEN o.IsWon THEN datediff(day, l.ConvertedDate, o.CloseDate)::FLOAT8 END AS to_win,
        CASE
            WHEN o.IsWon AND abs(o.Amount::FLOAT8) < 1e27 THEN o.Amount::DECIMAL(29, 2)
        END AS amount
    FROM silver.lead AS l
    LEFT JOIN silver.opportunity AS o ON o.Id = l.ConvertedOpportunityId
),
-- Redshift takes medians of different columns in different queries alone.
wins AS (
    SELECT month, source, currency, median(to_win) AS median_days FROM steps GROUP BY 1, 2, 3
),
funnel AS (
    SELECT
        month,
        source,
        currency,
        count(*) AS leads,
        count(CASE WHEN IsConverted THEN 1 END) AS converted,
        count(opportunity) AS with_opportunity,
        count(CASE WHEN IsWon THEN 1 END) AS won,
        median(to_conversion) AS median_days,
        sum(amount) AS amount_won
    FROM steps
    GROUP BY 1, 2, 3
)
SELECT
    -- First day of the month of creation
    f.month,
    -- Lead source, or (none)
    f.source,
    -- The opportunity's currency, or else the lead's
    f.currency,
    -- Leads created in the month
    f.leads,
    -- Those that were converted
    f.converted,
    -- Those that became an opportunity
    f.with_opportunity,
    -- Those whose opportunity was won
    f.won,
    -- Share of the leads that were converted, from 0 to 1
    round((f.converted::FLOAT8 / f.leads)::DECIMAL(18, 9), 4)::FLOAT8 AS conversion_rate,
    -- Median of the days from creation to conversion
    f.median_days AS median_days_to_conversion,
    -- Median of the days from conversion to a win
    w.median_days AS median_days_from_conversion_to_win,
    -- Amount of the opportunities that were won
    f.amount_won
FROM funnel AS f
JOIN wins AS w
    ON w.month = f.month AND w.source = f.source AND coalesce(w.currency, '') = coalesce(f.currency, '')
ORDER BY f.month DESC, f.leads DESC, f.source, f.currency
