-- Lead conversion funnel by month of creation, source and currency: leads, those converted, those
-- that became an opportunity, those that were won, and the median days between the steps. The
-- currency is the opportunity's, else the lead's. Amounts of 10^27 or more, which no field of
-- Salesforce holds, are left out.
SELECT
    -- First day of the month of creation
    date_trunc('month', l.CreatedDate)::DATE AS month,
    -- Lead source, or (none)
    coalesce(l.LeadSource, '(none)') AS source,
    -- The opportunity's currency, or else the lead's
    coalesce(o.CurrencyIsoCode, l.CurrencyIsoCode) AS currency,
    -- Leads created in the month
    count(*) AS leads,
    -- Those that were converted
    count(*) FILTER (WHERE l.IsConverted) AS converted,
    -- Those that became an opportunity
    count(o.Id) AS with_opportunity,
    -- Those whose opportunity was won
    count(*) FILTER (WHERE o.IsWon) AS won,
    -- Share of the leads that were converted, from 0 to 1
    round((count(*) FILTER (WHERE l.IsConverted) / count(*))::DECIMAL(18, 9), 4)::DOUBLE AS conversion_rate,
    -- Median of the days from creation to conversion
    median(date_diff('day', l.CreatedDate::DATE, l.ConvertedDate)) AS median_days_to_conversion,
    -- Median of the days from conversion to a win
    median(date_diff('day', l.ConvertedDate, o.CloseDate)) FILTER (WHERE o.IsWon)
        AS median_days_from_conversion_to_win,
    -- Amount of the opportunities that were won
    sum(CASE WHEN abs(CAST(o.Amount AS DOUBLE)) < 1e27 THEN CAST(o.Amount AS DECIMAL(29, 2)) END)
        FILTER (WHERE o.IsWon) AS amount_won
FROM silver.lead AS l
LEFT JOIN silver.opportunity AS o ON o.Id = l.ConvertedOpportunityId
GROUP BY 1, 2, 3
ORDER BY month DESC, leads DESC, source, currency
